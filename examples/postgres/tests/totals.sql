\ir lib/begin.sql
create table line (article text, price numeric(8, 2), count integer);
insert into line values ('tea', 3.50, 2), ('cup', 8.00, 1);

do $$ begin
    assert (select sum(price * count) from line) = 15.00;
end $$;
