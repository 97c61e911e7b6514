//! A lost ledger or registry, from what the shards hold.

use super::world::{DIRECTORIES, Entry, Ledger, PLACES, Position, Record, SHARDS, World, directory_of};

/// Enters every row as a live file that must be read again, and marks its directory open.
pub(crate) fn ledger(world: &mut World) {
    let mut ledger = Ledger::default();
    for shard in 0..SHARDS {
        if world.shards[shard].current().lives.is_empty() {
            continue;
        }
        // A life of its own, so that any other copy of the shard is told from this one.
        let position = Position { life: world.new_life(), sequence: 1 };
        world.shards[shard].commit(|image| image.lives.push(position));
        world.shards[shard].sync();
        let image = world.shards[shard].current();
        for place in (0..PLACES).filter(|place| image.rows[*place].is_some()) {
            let stamp = image.rows[place].map_or(0, |row| row.stamp);
            let number = u8::try_from(shard).expect("a handful of shards");
            let record = ledger.records[directory_of(place)].get_or_insert_with(Record::default);
            record.entries[place].get_or_insert(Entry {
                stamp,
                shard: Some(number),
                racy: true,
                missing: false,
            });
            record.claims[shard] = Some(position);
            ledger.marks[directory_of(place)] = Some(false);
            ledger.note(shard, position);
        }
    }
    debug_assert!(ledger.records.len() == DIRECTORIES);
    world.ledger.replace(ledger);
}

/// Enters every study where a shard has it.
pub(crate) fn registry(world: &mut World) {
    let mut registry = [None; 2];
    for shard in 0..SHARDS {
        for row in world.shards[shard].current().rows.iter().flatten() {
            let number = u8::try_from(shard).expect("a handful of shards");
            registry[usize::from(row.content.study)].get_or_insert(number);
        }
    }
    world.registry.replace(registry);
}
