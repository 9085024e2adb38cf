\ir lib/begin.sql
create table customer (name text primary key);
create table basket (customer text references customer on delete cascade, article text);
insert into customer values ('ann'), ('bob');
insert into basket values ('ann', 'tea'), ('bob', 'cup');
delete from customer where name = 'ann';

do $$ begin
    assert (select array_agg(article) from basket) = array['cup'];
end $$;
