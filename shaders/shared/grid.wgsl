// Grids of workgroups.

// The number of a workgroup in a grid that is folded to stay within a dimension's limit.
fn flat(workgroup: vec3u, grid: vec3u) -> u32 {
    return workgroup.y * grid.x + workgroup.x;
}
