"""Reference neural-network architectures for TensorFlow and Keras 3.

    import zoo
    model = zoo.build_model("resnet20")             # a plain, uncompiled keras.Model; outputs are logits
    zoo.list_models("resnet*")                      # names
    zoo.model_info("resnet20").paper                # what is known without building

Importing `zoo` and looking models up imports no TensorFlow; building one does. It sets TF_ENABLE_ONEDNN_OPTS=1 for a
TensorFlow that is imported later, unless the variable is set already: see `zoo.processor.prefer_onednn`.
"""

from zoo import processor
from zoo.config import ExperimentConfig
from zoo.errors import RequestError
from zoo.registry import ModelInfo, build_model, list_models, load_model, model_info, register_model
from zoo.version import __version__

# Here, since every way to TensorFlow through the zoo begins with this file.
processor.prefer_onednn()

__all__ = [
    "ExperimentConfig",
    "ModelInfo",
    "RequestError",
    "__version__",
    "build_model",
    "list_models",
    "load_model",
    "model_info",
    "register_model",
]
