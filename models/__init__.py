"""What a model is: the bundle on disk, the classifier that runs it, its calibration, the guards and the policy."""
