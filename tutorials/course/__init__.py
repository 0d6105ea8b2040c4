"""What the tutorials share: `figures` draws, `show` displays with alternative text, `grade` judges an exercise."""
