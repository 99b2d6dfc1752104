"""What rectified flows gain and lose by each rectification."""
