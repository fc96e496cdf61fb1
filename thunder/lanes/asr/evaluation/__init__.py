"""What a trained model recognises: rows, labels, scores."""
