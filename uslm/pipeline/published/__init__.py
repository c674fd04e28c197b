"""Published systems that speak and convert, behind the same seam as the models of ours."""
