\ir lib/begin.sql
create table stock (article text primary key, count integer);
insert into stock values ('tea', 1);
insert into stock values ('tea', 4), ('cup', 1)
    on conflict (article) do update set count = stock.count + excluded.count;

do $$ begin
    assert (select count from stock where article = 'tea') = 5;
    assert (select count(*) from stock) = 2;
end $$;
