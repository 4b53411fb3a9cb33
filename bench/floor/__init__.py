"""What the product's predict path is measured against."""
