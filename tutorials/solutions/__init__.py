"""Solutions of the exercises, one module for each tutorial, with the wrong answers that the grading knows by name."""
