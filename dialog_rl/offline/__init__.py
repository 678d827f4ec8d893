"""Learning from what is logged, without new interaction: action values, and people's pairs, thumbs and corrections."""
