"""Speech changed on its way into training: speed and pitch, noise and rooms."""
