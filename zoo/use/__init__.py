"""What a trained model is used for; everything here takes `zoo.runs.trained.Trained`."""
