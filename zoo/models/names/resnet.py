"""How others name the layers of residual nets; the families of `resnet.py` add to it what they have more."""

# torchvision's names, which timm has kept.
TORCH = {
    r"stem_(conv|bn)": "{0}1",
    r"stage(\d)_block(\d+)_(\d)_(conv|bn)": "layer{0}.{1:-1}.{3}{2}",
    r"stage(\d)_block(\d+)_shortcut_conv": "layer{0}.{1:-1}.downsample.0",
    r"stage(\d)_block(\d+)_shortcut_bn": "layer{0}.{1:-1}.downsample.1",
    r"logits": "fc",
}
# Stages are counted with the stem, and the shortcut is a block's convolution 0.
KERAS = {
    r"stem_(conv|bn)": "conv1_{0}",
    r"stage(\d)_block(\d+)_(\d)_(conv|bn)": "conv{0:+1}_block{1}_{2}_{3}",
    r"stage(\d)_block(\d+)_shortcut_(conv|bn)": "conv{0:+1}_block{1}_0_{2}",
    r"logits": "predictions",
}
# The files are those of `keras_applications`, whose names were others.
KERAS_BEFORE = {r"probs": "predictions"}
