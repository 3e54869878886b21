-- Schema of a fictional maker of pumps and valves, in SQLite: 40 tables. tests/scripts/sql_erp.py fills it.
-- Days are ISO text (2026-11-23), moments ISO text to the minute (2026-11-23 14:00). The comments are part of what is tested.

CREATE TABLE currencies ( -- currencies that we buy and quote in
  code TEXT PRIMARY KEY, -- ISO 4217
  name TEXT NOT NULL
);

CREATE TABLE exchange_rates ( -- one rate per currency and month
  currency TEXT NOT NULL REFERENCES currencies(code),
  month TEXT NOT NULL, -- 2026-11
  eur_per_unit REAL NOT NULL, -- EUR for one unit of the currency
  PRIMARY KEY (currency, month)
);

CREATE TABLE departments ( -- the organisation chart
  id INTEGER PRIMARY KEY,
  code TEXT NOT NULL UNIQUE, -- short name, such as ASM
  name TEXT NOT NULL UNIQUE,
  parent_id INTEGER REFERENCES departments(id), -- department above; empty for the management
  cost_center TEXT NOT NULL UNIQUE
);

CREATE TABLE employees ( -- everybody on the payroll, also those who left
  id INTEGER PRIMARY KEY,
  staff_no TEXT NOT NULL UNIQUE,
  full_name TEXT NOT NULL,
  department_id INTEGER NOT NULL REFERENCES departments(id),
  job_title TEXT NOT NULL,
  hired_on TEXT NOT NULL,
  left_on TEXT, -- empty while employed
  hourly_cost REAL NOT NULL, -- EUR per hour, with the employer's share
  manager_id INTEGER REFERENCES employees(id)
);

CREATE TABLE shifts ( -- the working times of the plant
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  starts_at TEXT NOT NULL, -- 06:00
  ends_at TEXT NOT NULL,
  bonus_pct REAL NOT NULL -- extra pay, percent
);

CREATE TABLE shift_assignments ( -- who worked which shift on which day
  id INTEGER PRIMARY KEY,
  employee_id INTEGER NOT NULL REFERENCES employees(id),
  shift_id INTEGER NOT NULL REFERENCES shifts(id),
  work_date TEXT NOT NULL,
  hours REAL NOT NULL, -- hours worked, overtime included
  overtime REAL NOT NULL -- hours of it beyond the plan
);

CREATE TABLE absences ( -- holidays, illness, training
  id INTEGER PRIMARY KEY,
  employee_id INTEGER NOT NULL REFERENCES employees(id),
  kind TEXT NOT NULL CHECK (kind IN ('vacation', 'sick', 'training', 'parental')),
  from_day TEXT NOT NULL,
  working_days INTEGER NOT NULL
);

CREATE TABLE suppliers ( -- whom we buy from
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  country TEXT NOT NULL, -- ISO 3166, two letters
  currency TEXT NOT NULL REFERENCES currencies(code), -- currency of their invoices
  rating TEXT NOT NULL CHECK (rating IN ('A', 'B', 'C')), -- A is best
  blocked INTEGER NOT NULL -- 1: purchasing may not order
);

CREATE TABLE part_groups ( -- kinds of parts
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);

CREATE TABLE parts ( -- the item master: raw material, bought parts, assemblies, finished goods
  id INTEGER PRIMARY KEY,
  part_no TEXT NOT NULL UNIQUE,
  description TEXT NOT NULL,
  group_id INTEGER NOT NULL REFERENCES part_groups(id),
  make_or_buy TEXT NOT NULL CHECK (make_or_buy IN ('make', 'buy')),
  uom TEXT NOT NULL, -- unit of measure: pc, kg, m
  std_cost REAL NOT NULL, -- standard cost of one unit, EUR
  list_price REAL, -- sales price of one unit, EUR; only finished goods
  weight_kg REAL,
  discontinued INTEGER NOT NULL -- 1: no longer made or bought
);

CREATE TABLE supplier_parts ( -- price list of each supplier
  supplier_id INTEGER NOT NULL REFERENCES suppliers(id),
  part_id INTEGER NOT NULL REFERENCES parts(id),
  unit_price REAL NOT NULL, -- in the supplier's currency
  lead_days INTEGER NOT NULL, -- promised days from order to delivery
  preferred INTEGER NOT NULL, -- 1 for the part's first choice
  PRIMARY KEY (supplier_id, part_id)
);

CREATE TABLE bom_lines ( -- bills of material: what goes into one unit of the parent
  id INTEGER PRIMARY KEY,
  parent_part_id INTEGER NOT NULL REFERENCES parts(id),
  component_part_id INTEGER NOT NULL REFERENCES parts(id),
  qty_per REAL NOT NULL, -- units of the component for one parent
  scrap_pct REAL NOT NULL -- planned waste, percent
);

CREATE TABLE routings ( -- the planned operations to make a part
  id INTEGER PRIMARY KEY,
  part_id INTEGER NOT NULL REFERENCES parts(id),
  op_no INTEGER NOT NULL, -- 10, 20, 30 …
  work_center_id INTEGER NOT NULL REFERENCES work_centers(id),
  setup_min REAL NOT NULL, -- minutes, once per work order
  run_min REAL NOT NULL -- minutes for each piece
);

CREATE TABLE work_centers ( -- groups of machines or benches
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  department_id INTEGER NOT NULL REFERENCES departments(id),
  hourly_rate REAL NOT NULL -- EUR per machine hour
);

CREATE TABLE machines ( -- equipment on the floor
  id INTEGER PRIMARY KEY,
  asset_no TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  work_center_id INTEGER NOT NULL REFERENCES work_centers(id),
  installed_on TEXT NOT NULL,
  purchase_value REAL NOT NULL, -- EUR
  retired_on TEXT -- empty while in use
);

CREATE TABLE downtimes ( -- every stop of a machine
  id INTEGER PRIMARY KEY,
  machine_id INTEGER NOT NULL REFERENCES machines(id),
  began_at TEXT NOT NULL,
  minutes INTEGER NOT NULL, -- length of the stop
  reason TEXT NOT NULL CHECK (reason IN ('breakdown', 'setup', 'no material', 'no operator', 'maintenance')),
  planned INTEGER NOT NULL -- 1: planned stop, 0: unplanned
);

CREATE TABLE maintenance_jobs ( -- repairs and inspections of machines
  id INTEGER PRIMARY KEY,
  machine_id INTEGER NOT NULL REFERENCES machines(id),
  technician_id INTEGER NOT NULL REFERENCES employees(id),
  job_type TEXT NOT NULL CHECK (job_type IN ('preventive', 'corrective')),
  done_on TEXT NOT NULL,
  labor_hours REAL NOT NULL,
  spare_cost REAL NOT NULL -- spare parts used, EUR
);

CREATE TABLE warehouses ( -- places where stock is kept
  id INTEGER PRIMARY KEY,
  code TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  city TEXT NOT NULL
);

CREATE TABLE stock_levels ( -- what is on hand today
  warehouse_id INTEGER NOT NULL REFERENCES warehouses(id),
  part_id INTEGER NOT NULL REFERENCES parts(id),
  on_hand REAL NOT NULL, -- units in the part's unit of measure
  reserved REAL NOT NULL, -- units of on_hand promised to orders
  reorder_point REAL NOT NULL, -- order again when on_hand falls below
  PRIMARY KEY (warehouse_id, part_id)
);

CREATE TABLE stock_moves ( -- ledger of all stock movements
  id INTEGER PRIMARY KEY,
  moved_at TEXT NOT NULL,
  part_id INTEGER NOT NULL REFERENCES parts(id),
  warehouse_id INTEGER NOT NULL REFERENCES warehouses(id),
  move_type TEXT NOT NULL CHECK (move_type IN ('receipt', 'issue', 'transfer', 'scrap', 'count')), -- count: correction after stocktaking
  qty REAL NOT NULL, -- positive in, negative out
  booked_by INTEGER NOT NULL REFERENCES employees(id)
);

CREATE TABLE work_orders ( -- orders to the shop floor to make a part
  id INTEGER PRIMARY KEY,
  wo_no TEXT NOT NULL UNIQUE,
  part_id INTEGER NOT NULL REFERENCES parts(id),
  qty_planned INTEGER NOT NULL,
  qty_good INTEGER NOT NULL, -- good pieces finished
  qty_scrap INTEGER NOT NULL, -- pieces thrown away
  status TEXT NOT NULL CHECK (status IN ('planned', 'released', 'finished', 'cancelled')),
  released_on TEXT, -- empty while planned
  due_on TEXT NOT NULL,
  finished_on TEXT -- empty until finished
);

CREATE TABLE work_order_ops ( -- what was done on each operation of a work order
  id INTEGER PRIMARY KEY,
  work_order_id INTEGER NOT NULL REFERENCES work_orders(id),
  op_no INTEGER NOT NULL,
  machine_id INTEGER NOT NULL REFERENCES machines(id),
  operator_id INTEGER NOT NULL REFERENCES employees(id),
  started_at TEXT NOT NULL,
  actual_min REAL NOT NULL -- minutes taken, setup included
);

CREATE TABLE inspections ( -- quality checks on work orders
  id INTEGER PRIMARY KEY,
  work_order_id INTEGER NOT NULL REFERENCES work_orders(id),
  inspector_id INTEGER NOT NULL REFERENCES employees(id),
  inspected_on TEXT NOT NULL,
  sample_size INTEGER NOT NULL, -- pieces looked at
  result TEXT NOT NULL CHECK (result IN ('pass', 'fail', 'rework'))
);

CREATE TABLE defects ( -- faults found by an inspection
  id INTEGER PRIMARY KEY,
  inspection_id INTEGER NOT NULL REFERENCES inspections(id),
  defect_code TEXT NOT NULL, -- DIM, SURF, LEAK, ASM, MARK
  severity TEXT NOT NULL CHECK (severity IN ('minor', 'major', 'critical')),
  pieces INTEGER NOT NULL -- pieces with this fault
);

CREATE TABLE purchase_orders ( -- orders to suppliers
  id INTEGER PRIMARY KEY,
  po_no TEXT NOT NULL UNIQUE,
  supplier_id INTEGER NOT NULL REFERENCES suppliers(id),
  buyer_id INTEGER NOT NULL REFERENCES employees(id),
  ordered_on TEXT NOT NULL,
  promised_on TEXT NOT NULL, -- delivery day that the supplier confirmed
  status TEXT NOT NULL CHECK (status IN ('open', 'received', 'cancelled')),
  fx_rate REAL NOT NULL -- EUR for one unit of the supplier's currency on the order day
);

CREATE TABLE po_lines ( -- lines of purchase orders
  id INTEGER PRIMARY KEY,
  po_id INTEGER NOT NULL REFERENCES purchase_orders(id),
  part_id INTEGER NOT NULL REFERENCES parts(id),
  qty REAL NOT NULL,
  unit_price REAL NOT NULL -- in the supplier's currency
);

CREATE TABLE goods_receipts ( -- deliveries from suppliers
  id INTEGER PRIMARY KEY,
  po_line_id INTEGER NOT NULL REFERENCES po_lines(id),
  warehouse_id INTEGER NOT NULL REFERENCES warehouses(id),
  received_on TEXT NOT NULL,
  qty_received REAL NOT NULL,
  qty_rejected REAL NOT NULL -- units of it sent back or thrown away
);

CREATE TABLE customers ( -- companies that buy
  id INTEGER PRIMARY KEY,
  cust_no TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL UNIQUE,
  country TEXT NOT NULL, -- ISO 3166, two letters
  industry TEXT NOT NULL,
  credit_limit REAL NOT NULL, -- EUR
  account_manager_id INTEGER NOT NULL REFERENCES employees(id),
  since TEXT NOT NULL -- day of the first contact
);

CREATE TABLE quotes ( -- offers to customers
  id INTEGER PRIMARY KEY,
  quote_no TEXT NOT NULL UNIQUE,
  customer_id INTEGER NOT NULL REFERENCES customers(id),
  quoted_on TEXT NOT NULL,
  valid_until TEXT NOT NULL,
  amount REAL NOT NULL, -- EUR, net
  outcome TEXT NOT NULL CHECK (outcome IN ('open', 'won', 'lost')),
  lost_reason TEXT -- price, delivery time, technology, no project; only where lost
);

CREATE TABLE sales_orders ( -- orders from customers
  id INTEGER PRIMARY KEY,
  so_no TEXT NOT NULL UNIQUE,
  customer_id INTEGER NOT NULL REFERENCES customers(id),
  quote_id INTEGER REFERENCES quotes(id), -- the offer it came from, if any
  ordered_on TEXT NOT NULL,
  requested_on TEXT NOT NULL, -- day on which the customer wants the goods
  status TEXT NOT NULL CHECK (status IN ('open', 'shipped', 'cancelled'))
);

CREATE TABLE so_lines ( -- lines of sales orders
  id INTEGER PRIMARY KEY,
  so_id INTEGER NOT NULL REFERENCES sales_orders(id),
  part_id INTEGER NOT NULL REFERENCES parts(id),
  qty INTEGER NOT NULL,
  unit_price REAL NOT NULL, -- EUR, before discount
  discount_pct REAL NOT NULL, -- percent
  net_amount REAL NOT NULL -- EUR, after discount
);

CREATE TABLE contracts ( -- service contracts with customers
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers(id),
  kind TEXT NOT NULL CHECK (kind IN ('maintenance', 'spare parts', 'frame')),
  starts_on TEXT NOT NULL,
  ends_on TEXT NOT NULL,
  annual_value REAL NOT NULL, -- EUR per year
  auto_renew INTEGER NOT NULL -- 1: goes on unless somebody cancels
);

CREATE TABLE carriers ( -- forwarders
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  mode TEXT NOT NULL CHECK (mode IN ('road', 'sea', 'air', 'parcel'))
);

CREATE TABLE shipments ( -- deliveries to customers
  id INTEGER PRIMARY KEY,
  so_id INTEGER NOT NULL REFERENCES sales_orders(id),
  carrier_id INTEGER NOT NULL REFERENCES carriers(id),
  warehouse_id INTEGER NOT NULL REFERENCES warehouses(id),
  shipped_on TEXT NOT NULL,
  delivered_on TEXT, -- empty while under way
  freight_cost REAL NOT NULL, -- EUR
  gross_kg REAL NOT NULL
);

CREATE TABLE invoices ( -- what we bill to customers
  id INTEGER PRIMARY KEY,
  invoice_no TEXT NOT NULL UNIQUE,
  so_id INTEGER NOT NULL REFERENCES sales_orders(id),
  invoiced_on TEXT NOT NULL,
  due_on TEXT NOT NULL,
  net_amount REAL NOT NULL, -- EUR
  vat_amount REAL NOT NULL -- EUR; to be paid is net and VAT together
);

CREATE TABLE payments ( -- money received for invoices; an invoice may be paid in parts
  id INTEGER PRIMARY KEY,
  invoice_id INTEGER NOT NULL REFERENCES invoices(id),
  paid_on TEXT NOT NULL,
  amount REAL NOT NULL, -- EUR
  method TEXT NOT NULL CHECK (method IN ('transfer', 'direct debit', 'card'))
);

CREATE TABLE returns ( -- goods that customers sent back
  id INTEGER PRIMARY KEY,
  so_line_id INTEGER NOT NULL REFERENCES so_lines(id),
  returned_on TEXT NOT NULL,
  qty INTEGER NOT NULL,
  reason TEXT NOT NULL CHECK (reason IN ('defective', 'wrong part', 'damaged in transit', 'not needed')),
  credit_amount REAL NOT NULL -- EUR credited to the customer
);

CREATE TABLE tickets ( -- service requests of customers
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers(id),
  part_id INTEGER REFERENCES parts(id), -- the product concerned, if known
  agent_id INTEGER REFERENCES employees(id), -- empty while nobody took it
  opened_at TEXT NOT NULL,
  closed_at TEXT, -- empty while open
  priority TEXT NOT NULL CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
  satisfaction INTEGER -- 1 bad … 5 good, only if the customer answered
);

CREATE TABLE budgets ( -- yearly plan of each department
  department_id INTEGER NOT NULL REFERENCES departments(id),
  fiscal_year INTEGER NOT NULL, -- the calendar year
  category TEXT NOT NULL CHECK (category IN ('personnel', 'material', 'travel', 'it', 'energy')),
  planned_amount REAL NOT NULL, -- EUR
  PRIMARY KEY (department_id, fiscal_year, category)
);

CREATE TABLE cost_entries ( -- actual cost booked on departments
  id INTEGER PRIMARY KEY,
  department_id INTEGER NOT NULL REFERENCES departments(id),
  category TEXT NOT NULL CHECK (category IN ('personnel', 'material', 'travel', 'it', 'energy')),
  posted_on TEXT NOT NULL,
  amount REAL NOT NULL -- EUR; negative is a correction
);
