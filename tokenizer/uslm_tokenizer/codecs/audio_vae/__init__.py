"""AudioVAE, the codec of VoxCPM."""
