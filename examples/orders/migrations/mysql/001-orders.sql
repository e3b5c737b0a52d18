CREATE TABLE IF NOT EXISTS products (
  sku varchar(40) PRIMARY KEY,
  name varchar(200) NOT NULL,
  price_cents int NOT NULL CHECK (price_cents >= 0),
  stock int NOT NULL CHECK (stock >= 0)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS orders (
  id bigint AUTO_INCREMENT PRIMARY KEY,
  customer varchar(100) NOT NULL,
  status enum('placed', 'cancelled') NOT NULL DEFAULT 'placed',
  placed_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  INDEX orders_of_customer (customer, id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS order_lines (
  order_id bigint NOT NULL,
  sku varchar(40) NOT NULL,
  quantity int NOT NULL CHECK (quantity > 0),
  price_cents int NOT NULL,
  PRIMARY KEY (order_id, sku),
  FOREIGN KEY (order_id) REFERENCES orders (id),
  FOREIGN KEY (sku) REFERENCES products (sku)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
