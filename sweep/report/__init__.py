"""What a sweep reports: effects of factors, tables, plots and one HTML file."""
