"""resnet50 on ImageNet.

Command:   python train.py --config=configs/resnet50_imagenet.py
Tier:      cluster
Data:      imagenet2012 of TFDS, 1,281,167 images to train, 50,000 to evaluate. It is prepared by hand:
           ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from image-net.org go to DIR/downloads/manual, then
           tfds build imagenet2012 --data_dir=DIR --file_format=array_record; the command above takes --data_dir=DIR
Measured:  not yet run here
Published: validation/accuracy 0.761, torchvision (V1, 0.7613) and TF Model Garden, 90 epochs each;
           Goyal et al. 2017, table 1, have 0.764 (23.60 % error, mean of five)
Recipe:    Goyal et al. 2017, arXiv:1706.02677, section 5.1, the baseline of 256 images a step: SGD with Nesterov
           momentum 0.9 at 0.1, a tenth of it after 30, 60 and 80 of 90 epochs, weight decay 1e-4 on kernels alone,
           blocks that begin as the identity, random crops of 8 to 100 % of the image, flips; evaluated on a central
           crop of 224 of a shorter side of 256

Deviations: batch norm averages over the whole batch where there is one device, in the paper over 32 images; logits
begin by Glorot's rule in place of N(0, 0.01).

He et al. 2015 (arXiv:1512.03385, section 3.4) train for 120 epochs with images scaled to 256 to 480 pixels and with
colour augmentation, and lower the rate when the error stands still.
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="resnet50",
        model_args={"zero_gamma": True},
        dataset="imagenet2012",
        eval_split="validation",
        image_size=224,
        center_crop=0.875,
        normalize="imagenet",
        augment="random_resized_crop:0.08,flip",
        batch_size=256,
        epochs=90,
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
        schedule="step:30,60,80",
        l2=1e-4,
    )
