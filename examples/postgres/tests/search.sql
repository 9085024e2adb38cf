\ir lib/begin.sql
create table article (name text, about text);
insert into article values ('cup', 'Holds a quarter of a litre'), ('tea', 'Green leaves, a quarter of a pound');
create index on article using gin (to_tsvector('english', about));

do $$ begin
    assert (select array_agg(name) from article where to_tsvector('english', about) @@ to_tsquery('greens & pounds')) = array['tea'];
end $$;
