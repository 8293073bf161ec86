with renamed as (

    -- DISTINCT: now and then the TLC sends the same trip twice.
    select distinct
        month,
        vendorid as vendor,
        tpep_pickup_datetime as picked_up_at,
        tpep_dropoff_datetime as dropped_off_at,
        cast(passenger_count as integer) as passengers,
        trip_distance as miles,
        pulocationid as pickup_zone,
        dolocationid as dropoff_zone,
        case payment_type
            when 0 then 'flex'
            when 1 then 'card'
            when 2 then 'cash'
            when 3 then 'no_charge'
            when 4 then 'dispute'
            when 6 then 'voided'
            else 'unknown'
        end as paid_by,
        cast(fare_amount as numeric(12, 2)) as fare_amount,
        cast(tip_amount as numeric(12, 2)) as tip_amount,
        cast(total_amount as numeric(12, 2)) as total_amount
    from {{ source('taxi', 'raw_trips') }}

)

select *
from renamed
where
    -- Meters with a wrong clock report trips of 2008 in a file of 2024.
    picked_up_at >= month
    and picked_up_at < month + interval '1 month'
    -- No trip ends before it begins, or takes a day.
    and dropped_off_at > picked_up_at
    and dropped_off_at < picked_up_at + interval '1 day'
    and miles > 0
    -- Refunds are booked as trips with a negative amount.
    and total_amount > 0
    and pickup_zone is not null
    and dropoff_zone is not null
