"""What a detector gets wrong on a whole data set, why, and what its detections rest on."""
