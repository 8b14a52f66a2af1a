"""googlenet on ImageNet, as in the paper.

Command:   python train.py --config=configs/googlenet_imagenet.py
Tier:      cluster
Data:      imagenet2012 of TFDS, 1,281,167 images to train, 50,000 to evaluate. It is prepared by hand:
           ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from image-net.org go to DIR/downloads/manual, then
           tfds build imagenet2012 --data_dir=DIR --file_format=array_record; the command above takes --data_dir=DIR
Measured:  not yet run here
Published: validation/top5_accuracy 0.8993, Szegedy et al. 2014, table 3 (10.07 % error, one model, one crop);
           validation/accuracy 0.698, slim and torchvision (another net: 3x3 in place of 5x5); 0.687, bvlc_googlenet
Recipe:    Szegedy et al. 2014, arXiv:1409.4842, sections 5 and 6: SGD with momentum 0.9, the rate 4 % lower every 8
           epochs, two auxiliary heads that weigh 0.3, dropout 0.4, crops of 8 to 100 % of the image, photometric
           distortions. What the paper leaves out is from Caffe's bvlc_googlenet, solver.prototxt: 0.01 to begin with,
           batches of 32, 10,000,000 steps, that is 250 epochs, weight decay 2e-4

Deviations:
- The paper trains asynchronously on many machines and evaluates averaged weights (Polyak); here one update follows the
  other, and the weights of the last step are evaluated.
- Distortions are brightness, contrast and saturation by factors of 0.5 to 1.5 (Howard 2013, arXiv:1312.5402, whom the
  paper names); resizing is always bilinear, where the paper draws the method.
- Pixels are brought to deviation 1, where Caffe only subtracts the mean, so the local response normalisation changes
  less; biases learn at the rate of the weights, in Caffe at twice that.
"""

from zoo.config import ExperimentConfig

DROPS = ",".join(str(epoch) for epoch in range(8, 250, 8))


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="googlenet",
        model_args={"aux_heads": True, "dropout": 0.4},
        dataset="imagenet2012",
        eval_split="validation",
        image_size=224,
        center_crop=0.875,
        normalize="imagenet",
        augment="random_resized_crop:0.08,flip,color_jitter:0.5",
        batch_size=32,
        epochs=250,
        optimizer="sgd",
        learning_rate=0.01,
        momentum=0.9,
        schedule=f"step:{DROPS}:0.96",
        l2=2e-4,
        checkpoint_every_steps=10_000,
        log_every_steps=1000,
    )
