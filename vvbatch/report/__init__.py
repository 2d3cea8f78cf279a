"""What a person sees: tables and progress on a terminal, plain aligned lines in a pipe."""
