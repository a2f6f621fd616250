"""Saves the model for MLflow: `python -m evaluation.benchmarks.serving.peers.mlflow_files DIRECTORY`."""

import sys
from pathlib import Path

import mlflow

if __name__ == "__main__":
    # No code is copied and no requirement resolved: the environment is there, and ours is on the path.
    mlflow.pyfunc.save_model(
        sys.argv[1], python_model=str(Path(__file__).with_name("mlflow_model.py")), pip_requirements=[]
    )
