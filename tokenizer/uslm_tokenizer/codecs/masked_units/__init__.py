"""Units that a network predicts where it was taught to fill in what is hidden: BEATs, SPEAR."""
