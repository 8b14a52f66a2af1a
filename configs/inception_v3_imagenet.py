"""inception_v3 on ImageNet, as in the paper.

Command:   python train.py --config=configs/inception_v3_imagenet.py
Tier:      cluster
Data:      imagenet2012 of TFDS, 1,281,167 images to train, 50,000 to evaluate. It is prepared by hand:
           ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from image-net.org go to DIR/downloads/manual, then
           tfds build imagenet2012 --data_dir=DIR --file_format=array_record; the command above takes --data_dir=DIR
Measured:  not yet run here
Published: validation/accuracy 0.779, keras.applications and slim; Szegedy et al. 2015, table 3, have 0.788
           (21.2 % error, one crop)
Recipe:    Szegedy et al. 2015, arXiv:1512.00567, sections 4, 7 and 8: RMSProp with decay 0.9 and epsilon 1.0 at 0.045,
           0.94 of it every 2 of 100 epochs, gradients clipped at 2.0, batches of 32, label smoothing 0.1, an auxiliary
           head. From the authors' slim code: momentum 0.9, weight decay 4e-5, dropout 0.2, crops of 5 to 100 %, pixels
           to [-1, 1], batch norm without scale

Deviations:
- The paper's 50 replicas with 32 images each work asynchronously; here one update follows the other.
- The paper evaluates running averages of the weights, this recipe the weights of the last step.
- slim also turns hues, and its brightness adds up to 32 of 255 levels; here brightness, contrast and saturation change
  by factors of 0.5 to 1.5, contrast and saturation as there. Resizing is always bilinear.
- slim squeezes the central 87.5 % of both sides to evaluate, here it is the central square.
- Keras' RMSprop begins its mean square at 0, TensorFlow's did at 1.
"""

from zoo.config import ExperimentConfig

DROPS = ",".join(str(epoch) for epoch in range(2, 100, 2))


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="inception_v3",
        model_args={"aux_heads": True, "bn_scale": False, "dropout": 0.2},
        dataset="imagenet2012",
        eval_split="validation",
        image_size=299,
        center_crop=0.875,
        normalize="signed",
        augment="random_resized_crop:0.05,flip,color_jitter:0.5",
        batch_size=32,
        epochs=100,
        optimizer="rmsprop",
        learning_rate=0.045,
        momentum=0.9,
        epsilon=1.0,
        schedule=f"step:{DROPS}:0.94",
        grad_clip_norm=2.0,
        l2=4e-5,
        label_smoothing=0.1,
        checkpoint_every_steps=10_000,
        log_every_steps=1000,
    )
