"""What is done where frames are drawn, in an actor or in this process."""
