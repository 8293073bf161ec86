-- Days of a mart that are not days of the month which they are counted in.
select month, day
from {{ ref('trips_by_day') }}
where date_trunc('month', day) <> month
