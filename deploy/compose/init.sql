-- The source: a table that Debezium captures.
create database shop;
\connect shop
create table page (id int primary key, title text not null, body text not null);
insert into page values
  (1, 'Opening hours', E'# Opening hours\n\nThe shop is open from nine to five, except on Sundays.'),
  (2, 'Returns', E'# Returns\n\nSend an item back within 30 days.\n\n## Refunds\n\nA refund takes a week.');

-- The target: a database with pgvector, in which Freshet makes its tables.
create database search;
\connect search
create extension vector;
