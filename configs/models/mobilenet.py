"""Makes the model and the data of xla_mobilenet.yaml: MobileNet for pictures of 224 x 224.

    python configs/models/mobilenet.py [--weights FILE]

The network is Keras's, of Howard et al.: "MobileNets: Efficient Convolutional Neural Networks for
Mobile Vision Applications" (arXiv:1704.04861). Without a file its weights are random. Made are

    models/mobilenet           SavedModel: image, float32 (batch, 224, 224, 3), 1,000 classes
    data/mobilenet.npz         random pictures from -1 to 1: patches of colour, and noise
"""

from __future__ import annotations

from pathlib import Path

import keras
from untrained import run_application

if __name__ == "__main__":
    run_application(Path(__file__), keras.applications.MobileNet)
