"""Reference neural-network architectures for TensorFlow and Keras 3.

    import zoo
    model = zoo.build_model("resnet20")             # a plain, uncompiled keras.Model; outputs are logits
    zoo.build_model("resnet50", weights="timm/resnet50.a1_in1k")    # with published weights
    zoo.list_models("resnet*")                      # names
    zoo.model_info("resnet20").paper                # what is known without building
    zoo.train(zoo.ExperimentConfig(model="resnet20", epochs=2), workdir="runs/mine")    # as train.py does it
    zoo.load_trained("runs/mine").model             # with its preprocessing and class names
    zoo.predict("runs/mine", "photo.jpg")           # classes of images, with their probabilities
    zoo.list_weights("resnet50*")                   # names of published weights

Importing `zoo` and looking models up imports no TensorFlow; building one does. It sets TF_ENABLE_ONEDNN_OPTS=1 for a
TensorFlow that is imported later, unless the variable is set already: see `zoo.processor.prefer_onednn`.
"""

from zoo import processor
from zoo.config import ExperimentConfig
from zoo.errors import Interrupted, RequestError, RunError
from zoo.places.place import Place
from zoo.pretrained.building import build_model, load_weights
from zoo.pretrained.catalog import list_weights
from zoo.registry import ModelInfo, list_models, load_model, model_info, register_model
from zoo.runs.trained import Trained, load_trained
from zoo.training import evaluate, train
from zoo.use.predict import Prediction, predict
from zoo.version import __version__

# Here, since every way to TensorFlow through the zoo begins with this file.
processor.prefer_onednn()

__all__ = [
    "ExperimentConfig",
    "Interrupted",
    "ModelInfo",
    "Place",
    "Prediction",
    "RequestError",
    "RunError",
    "Trained",
    "__version__",
    "build_model",
    "evaluate",
    "list_models",
    "list_weights",
    "load_model",
    "load_trained",
    "load_weights",
    "model_info",
    "predict",
    "register_model",
    "train",
]
