drop index core_userprofile_timezone_idx;
alter table core_userprofile drop column timezone;
