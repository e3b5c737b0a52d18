INSERT INTO products (sku, name, price_cents, stock) VALUES
  ('beans', 'Coffee beans, 1 kg', 1890, 100),
  ('filter', 'Paper filters, 100', 390, 500),
  ('grinder', 'Hand grinder', 8900, 10);
