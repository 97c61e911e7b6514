//! Functional groups of enhanced MR objects (PS3.3 C.7.6.16): 100 to 400 frames, each with its
//! position, content and diffusion item.

use crate::encode::Elements;
use crate::headers::Context;
use crate::random::Random;
use crate::slices::as_f64;

pub(crate) fn frames(context: &Context, random: &mut Random, number: u64, to: &mut Elements) {
    let frames = random.range(180, 420);
    to.text(0x0008_002A, b"DT", &format!("{}{}", context.date, context.time(number * 1000)));
    to.text(0x0008_9007, b"CS", "ORIGINAL\\PRIMARY\\DIFFUSION\\NONE");
    to.text(0x0028_0008, b"IS", &frames.to_string());
    let syntax = to.syntax();
    let group = |tag: u32, fill: &dyn Fn(&mut Elements)| {
        let mut item = Elements::new(syntax);
        fill(&mut item);
        (tag, item)
    };
    let mut shared = Elements::new(syntax);
    for (tag, item) in [
        group(0x0028_9110, &|item| {
            item.text(0x0018_0050, b"DS", "4");
            item.text(0x0028_0030, b"DS", "1.5\\1.5");
        }),
        group(0x0020_9116, &|item| item.text(0x0020_0037, b"DS", "1\\0\\0\\0\\1\\0")),
        group(0x0018_9112, &|item| item.text(0x0018_0080, b"DS", "4100")),
    ] {
        shared.sequence(tag, &[item]);
    }
    to.sequence(0x5200_9229, &[shared]);
    let items: Vec<_> = (0..frames)
        .map(|frame| {
            let mut item = Elements::new(syntax);
            let z = 120.0 - 4.0 * as_f64(frame % 60);
            for (tag, part) in [
                group(0x0020_9111, &|part| {
                    let at = context.time(number * 1000 + frame * 41);
                    part.text(0x0018_9074, b"DT", &format!("{}{at}", context.date));
                    part.fd(0x0018_9220, 41.0);
                    part.text(0x0020_9056, b"SH", "1");
                    part.put(0x0020_9057, b"UL", &u32::try_from(frame % 60 + 1).unwrap_or(1).to_le_bytes());
                }),
                group(0x0020_9113, &|part| part.text(0x0020_0032, b"DS", &format!("-192\\-192\\{z:.2}"))),
                group(0x0018_9117, &|part| {
                    part.fd(0x0018_9087, as_f64(frame / 60) * 500.0);
                    part.text(0x0018_9075, b"CS", "ISOTROPIC");
                }),
                group(0x0018_9226, &|part| {
                    part.text(0x0008_9007, b"CS", "ORIGINAL\\PRIMARY\\DIFFUSION\\NONE");
                    part.text(0x0008_9205, b"CS", "MONOCHROME");
                }),
                group(0x0028_9145, &|part| {
                    part.text(0x0028_1052, b"DS", "0");
                    part.text(0x0028_1053, b"DS", "1");
                    part.text(0x0028_1054, b"LO", "US");
                }),
            ] {
                item.sequence(tag, &[part]);
            }
            item
        })
        .collect();
    to.sequence(0x5200_9230, &items);
}
