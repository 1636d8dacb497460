"""The five kinds of parts and what they are made of: neutral, frozen, validated."""
