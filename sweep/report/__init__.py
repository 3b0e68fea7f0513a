"""What a sweep found: data frames, tables in the terminal, pictures."""
