"""The one door to MLflow: what a run tells, and the registered models. Nothing outside this package imports mlflow."""
