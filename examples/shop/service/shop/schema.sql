CREATE TABLE categories (
    id INTEGER PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL
);
CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    category_id INTEGER NOT NULL REFERENCES categories (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    cents INTEGER NOT NULL
);
CREATE INDEX products_by_category ON products (category_id);
CREATE TABLE stock (
    product_id INTEGER PRIMARY KEY REFERENCES products (id),
    warehouse TEXT NOT NULL,
    quantity INTEGER NOT NULL
);
CREATE TABLE reviews (
    id INTEGER PRIMARY KEY,
    product_id INTEGER NOT NULL REFERENCES products (id),
    author TEXT,
    stars INTEGER NOT NULL,
    created TEXT NOT NULL
);
CREATE INDEX reviews_by_product ON reviews (product_id);
CREATE TABLE price_tiers (
    product_id INTEGER NOT NULL REFERENCES products (id),
    minimum INTEGER NOT NULL,
    cents INTEGER NOT NULL,
    PRIMARY KEY (product_id, minimum)
);
CREATE TABLE discounts (
    id INTEGER PRIMARY KEY,
    rule TEXT NOT NULL
);
CREATE TABLE currencies (
    code TEXT PRIMARY KEY,
    per_euro REAL NOT NULL
);
CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL
);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    placed TEXT NOT NULL
);
CREATE INDEX orders_by_customer ON orders (customer_id);
CREATE TABLE order_lines (
    order_id INTEGER NOT NULL REFERENCES orders (id),
    position INTEGER NOT NULL,
    product_id INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL,
    cents INTEGER NOT NULL,
    PRIMARY KEY (order_id, position)
);
CREATE INDEX order_lines_by_product ON order_lines (product_id);
CREATE TABLE cart_items (
    session_id TEXT NOT NULL,
    product_id INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL,
    PRIMARY KEY (session_id, product_id)
);
