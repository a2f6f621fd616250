"""What a model is: the bundle on disk, the classifier that runs it, its calibration, the guards and the policy.

The official builds of onnxruntime report their use to their maker and leave a device identifier in the home directory
(their `Privacy.md`). The one switch that stops all of it is a variable that must be set before the library is loaded,
so it is set here: the only thing in this project that happens at import.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
