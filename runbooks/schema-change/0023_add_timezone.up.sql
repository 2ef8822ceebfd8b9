alter table core_userprofile add column timezone varchar(40) not null default 'UTC';
create index core_userprofile_timezone_idx on core_userprofile (timezone);
