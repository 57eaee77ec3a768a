"""What runs where there is no TensorFlow; its module is copied to devices as it is."""
