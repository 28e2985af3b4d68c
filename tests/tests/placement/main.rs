//! Placements beside the programs they imitate: a running nutcracker and running Redis servers.

#[cfg(test)]
mod ketama;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod slots;
