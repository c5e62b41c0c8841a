//! Stacks of images: what is accepted has the planes it claims, and is read the same when it was written again.
#![no_main]

use std::path::Path;

use model_bundle::image::{Info, Pixels, Reader, Writer};
use model_bundle_fuzz::folder;

/// How many planes are looked at, and written if there are no more.
const MOST: usize = 12;

/// A plane's numbers as what can be compared: NaN equals itself.
fn bits(pixels: &Pixels) -> Vec<u64> {
    match pixels {
        Pixels::U8(list) => list.iter().map(|v| u64::from(*v)).collect(),
        Pixels::U16(list) => list.iter().map(|v| u64::from(*v)).collect(),
        Pixels::I16(list) => list.iter().map(|v| *v as u64).collect(),
        Pixels::U32(list) => list.iter().map(|v| u64::from(*v)).collect(),
        Pixels::I32(list) => list.iter().map(|v| *v as u64).collect(),
        Pixels::F32(list) => list.iter().map(|v| u64::from(v.to_bits())).collect(),
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(mut reader) = Reader::of_blob(Path::new("x"), data.to_vec().into()) else {
        return;
    };
    let info = *reader.info();
    let axes = info.axes;
    let planes = axes.planes().expect("planes can be counted");
    let area = axes.area().expect("pixels can be counted");
    assert!(planes > 0 && area > 0);
    assert!(reader.plane(axes.frames, 0, 0).is_err());
    let mut read = Vec::new();
    for at in (0..planes).take(MOST).chain([planes - 1]) {
        let (rest, channel) = (at / axes.channels, at % axes.channels);
        let place = (rest / axes.slices, rest % axes.slices, channel);
        let Ok(plane) = reader.plane(place.0, place.1, place.2) else {
            return;
        };
        assert_eq!((plane.len(), plane.kind()), (area, info.kind));
        read.push(plane);
    }
    read.pop();
    if planes <= MOST && area <= 1 << 12 {
        for name in ["x.tif", "x.npy"] {
            again(name, &info, &read);
        }
    }
});

fn again(name: &str, info: &Info, planes: &[Pixels]) {
    let folder = folder();
    let path = folder.path().join(name);
    let mut writer = Writer::create(&path, info).expect("what was read can be written");
    for plane in planes {
        writer.write(plane).expect("it is of the size that was read");
    }
    writer.finish().expect("it is whole");
    let mut reader = Reader::open(&path).expect("what was written can be read");
    let axes = reader.info().axes;
    for (at, plane) in planes.iter().enumerate() {
        let (rest, channel) = (at / axes.channels, at % axes.channels);
        let read = reader.plane(rest / axes.slices, rest % axes.slices, channel);
        assert_eq!(bits(&read.expect("it is whole")), bits(plane));
    }
}
