"""What generated pairs of image and label map bring to a segmentation trained on few labels."""
