"""The code that the tutorials share: `figures` draws, `show` displays a figure, `grade` judges an exercise."""
