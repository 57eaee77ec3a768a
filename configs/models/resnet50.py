"""Makes the model and the data of xla_resnet50.yaml: ResNet50 for pictures of 224 x 224.

    python configs/models/resnet50.py [--weights FILE]

The network is Keras's, of He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition"
(arXiv:1512.03385). Without a file its weights are random. Made are

    models/resnet50            SavedModel: image, float32 (batch, 224, 224, 3), 1,000 classes
    data/resnet50.npz          random pictures from -1 to 1: patches of colour, and noise
"""

from __future__ import annotations

from pathlib import Path

import keras
from untrained import run_application

if __name__ == "__main__":
    run_application(Path(__file__), keras.applications.ResNet50)
