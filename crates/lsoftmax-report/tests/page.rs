//! The page as a whole: well-formed, self-contained, the same every time, and unmoved by
//! whatever is put into it.

use lsoftmax_report::{
    Boundary, CurvePoint, FeatureFrame, FeaturePicture, Histogram, ImageStrip, OpenSetRow,
    OpenSetSection, Quantity, Report, RocCurve, RunDetail, RunSummary, ScoreHistogram, StripRow,
    Thumbnail, annealing_plot, confusion_svg, curve_svg, feature_svg, figure_page, histogram_svg,
    margin_plot, page, pictures,
};
use roxmltree::{Document, Node};

const HOSTILE: &str = "</title><script>alert('x')</script>&\"<svg onload=1>\u{0}\u{b}";

/// Two seeds, a curve, a histogram, an image that is one and an image that is none.
fn open_set(label: &str, value: f64) -> OpenSetSection {
    let row = |seed| OpenSetRow {
        label: label.to_owned(),
        seed,
        accuracy_percent: value,
        standard_error_percent: value,
        tar_at_1e2_percent: value,
        tar_at_1e3_percent: value,
        eer_percent: value,
        recall_at_1_percent: value,
        map_at_r_percent: value,
        rank_1_percent: value,
        tpir_at_1e2_percent: value,
        nmi: value,
        ami: value,
    };
    let image = |bytes: usize| Thumbnail {
        width: 2,
        height: 3,
        channels: 3,
        bytes: vec![100; bytes],
        caption: label.to_owned(),
        right: Some(bytes == 18),
    };
    OpenSetSection {
        about: label.to_owned(),
        rows: vec![row(0), row(1)],
        curves: vec![RocCurve {
            label: label.to_owned(),
            seed: 0,
            smallest_far: value,
            points: vec![(0.0, 0.0), (0.01, 0.5), (0.1, value), (1.0, 1.0)],
        }],
        scores: vec![ScoreHistogram {
            label: label.to_owned(),
            seed: 0,
            edges: vec![-1.0, 0.0, 1.0],
            same: vec![1, 5],
            different: vec![6, 2],
            threshold: Some(value),
        }],
        strips: vec![ImageStrip {
            title: label.to_owned(),
            about: label.to_owned(),
            rows: vec![StripRow {
                caption: label.to_owned(),
                images: vec![image(18), image(17)],
            }],
        }],
    }
}

fn report(label: &str, value: f64) -> Report {
    let runs = [0_u64, 1].map(|seed| RunDetail {
        label: label.to_owned(),
        seed,
        curve: (0..50_usize)
            .map(|step| CurvePoint {
                step: step * 10,
                loss: Some(value),
                lambda: Some(if step < 25 { value } else { 0.0 }),
                m: Some(if step < 10 { 1 } else { 4 }),
                learning_rate: Some(value / (1.0 + step as f64)),
                train_error_percent: Some(value),
                test_error_percent: Some(value),
                mean_target_angle_deg: Some(value),
                feature_norm: Some(value),
                weight_norm: Some(value),
            })
            .collect(),
        target_angle_train: Some(Histogram::from_degrees([value, 20.0], 36)),
        target_angle_test: Some(Histogram::from_degrees([value, 20.0, 25.0], 36)),
        class_angle: Some(Histogram {
            mean_deg: Some(value),
            ..Histogram::from_degrees([90.0], 18)
        }),
        confusion: Some(vec![vec![5, 1, 0], vec![0, 6, 0], vec![2, 0, 4]]),
    });
    let row = |seed| RunSummary {
        loss: label.to_owned(),
        m: 4,
        label: label.to_owned(),
        network: label.to_owned(),
        feature: 2,
        seed,
        iterations: 500,
        train_error_percent: Some(value),
        test_error_percent: value,
        mean_target_angle_deg: value,
        min_class_angle_deg: value,
        mean_feature_norm: value,
        final_lambda: Some(value),
        seconds: value,
        images_per_second: value,
        diverged: seed == 1,
        remark: label.to_owned(),
    };
    Report {
        kind: "compare".to_owned(),
        open_set: Some(open_set(label, value)),
        title: label.to_owned(),
        command: label.to_owned(),
        data: label.to_owned(),
        created: label.to_owned(),
        class_names: vec![label.to_owned(), String::new()],
        rows: vec![
            row(0),
            row(1),
            RunSummary {
                label: "Softmax".to_owned(),
                ..row(0)
            },
        ],
        pictures: vec![FeaturePicture {
            label: label.to_owned(),
            seed: 0,
            test_error_percent: value,
            mean_target_angle_deg: value,
            points: (0..30)
                .map(|i| [i as f32 * value as f32, -3.0])
                .chain([[1.0, 1.0]])
                .collect(),
            labels: (0..31).map(|i| i % 12).collect(),
            class_weights: (0..12).map(|i| [value as f32, i as f32]).collect(),
            step: 500,
            earlier: vec![FeatureFrame {
                step: 100,
                points: (0..31).map(|i| [-3.0, i as f32 * value as f32]).collect(),
                class_weights: vec![[1.0, value as f32]],
            }],
        }],
        boundaries: vec![Boundary {
            label: label.to_owned(),
            between_deg: 60.0,
            norms: [1.0, value],
            plain_deg: value,
            margin_deg: [20.0, 40.0],
        }],
        runs: runs.to_vec(),
        notes: vec![label.to_owned()],
    }
}

/// The body of a page as XML; what is between the tags of `<main>` is written to be so.
fn main_part(html: &str) -> &str {
    let start = html.find("<main").unwrap();
    let end = html.rfind("</main>").unwrap() + "</main>".len();
    &html[start..end]
}

/// What holds for every page, whatever is in it.
fn check(html: &str) {
    let main = main_part(html);
    let document = Document::parse(main).unwrap_or_else(|error| panic!("{error}\n{main}"));
    for node in document.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        assert!(
            !["script", "link", "iframe", "object"].contains(&name),
            "<{name}>"
        );
        for attribute in node.attributes() {
            assert!(!attribute.name().starts_with("on"), "{attribute:?}");
            if name == "img" && attribute.name() == "src" {
                // The bytes themselves, and words for who cannot see them.
                assert!(attribute.value().starts_with("data:image/png;base64,"));
                assert!(node.attribute("alt").is_some());
            } else if ["href", "src"].contains(&attribute.name()) {
                assert!(attribute.value().starts_with('#'), "{attribute:?}");
            }
        }
    }
    for picture in outer_pictures(&document) {
        check_picture(picture);
    }
    assert_eq!(html.matches("<script>").count(), 1, "only ours");
    let named = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    assert!(!named.contains("http"), "nothing from elsewhere");
    assert!(
        !html.contains("@import") && !html.contains("url("),
        "nothing from elsewhere"
    );
    assert!(!html.contains('\0'));
}

fn outer_pictures<'a>(document: &'a Document<'a>) -> impl Iterator<Item = Node<'a, 'a>> {
    let hidden = |node: &Node<'_, '_>| node.attribute("aria-hidden") == Some("true");
    document
        .descendants()
        .filter(move |node| node.has_tag_name("svg") && !hidden(node))
        .filter(|node| node.attribute("role") == Some("img"))
}

/// What holds for every picture: it has words, and every number in it is one.
fn check_picture(picture: Node<'_, '_>) {
    let words = |name: &str| {
        let child = picture
            .children()
            .find(|child| child.tag_name().name() == name);
        child
            .and_then(|child| child.text())
            .is_some_and(|text| !text.trim().is_empty())
    };
    assert!(words("title") && words("desc"), "{picture:?}");
    assert!(
        picture
            .attribute("aria-label")
            .is_some_and(|label| !label.is_empty())
    );
    for node in picture.descendants().filter(Node::is_element) {
        for attribute in node.attributes() {
            let value = attribute.value();
            match attribute.name() {
                "x" | "y" | "cx" | "cy" | "r" | "width" | "height" => {
                    let number: f64 = value.parse().unwrap_or_else(|_| panic!("{value}"));
                    assert!(number.is_finite());
                }
                "d" => {
                    let ok = |c: char| "MLHVhvlaz .-".contains(c) || c.is_ascii_digit();
                    assert!(value.starts_with('M') && value.chars().all(ok), "{value}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_usual_report_is_well_formed() {
    let html = page(&report("L-Softmax m = 4", 12.5));
    check(&html);
    for heading in [
        "Results",
        "Unseen classes",
        "2-D features",
        "Angles",
        "Training",
        "Confusion",
        "Two classes",
        "Notes",
    ] {
        assert!(html.contains(&format!(">{heading}</h2>")), "{heading}");
    }
    let main = main_part(&html);
    let document = Document::parse(main).unwrap();
    // Features, ROC, DET, cosines, three histograms, nine curves, one matrix, the plane of two classes.
    assert_eq!(outer_pictures(&document).count(), 18);
    assert!(main.contains("data-steps=\"100;500\""));
}

#[test]
fn what_comes_from_outside_stays_text() {
    let html = page(&report(HOSTILE, 3.0));
    check(&html);
    assert!(!html.contains("alert('x')"));
    assert!(html.contains("alert(&#39;x&#39;)"));
    check(&figure_page(HOSTILE, &margin_plot(&[]), HOSTILE));
    for (name, svg) in pictures(&report(HOSTILE, 3.0)) {
        assert!(
            name.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.'),
            "{name}"
        );
        Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn strange_numbers_break_nothing() {
    let strange = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        -0.0,
        0.0,
        -12.5,
        1e12,
    ];
    for value in strange {
        let report = report("loss", value);
        let html = page(&report);
        check(&html);
        let text = main_part(&html);
        assert!(!text.contains("NaN") && !text.contains(">inf"), "{value}");
        for (name, svg) in pictures(&report) {
            let document = Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
            check_picture(document.root_element());
        }
    }
}

#[test]
fn empty_parts_are_said_or_left_out() {
    let html = page(&Report::default());
    check(&html);
    assert!(html.contains("No finished run yet."));
    assert!(!html.contains("2-D features</h2>"));
    let run = RunDetail {
        label: "a".to_owned(),
        confusion: Some(vec![]),
        ..RunDetail::default()
    };
    let picture = FeaturePicture {
        label: "a".to_owned(),
        ..FeaturePicture::default()
    };
    let html = page(&Report {
        rows: vec![RunSummary::default()],
        runs: vec![run],
        pictures: vec![picture],
        ..Report::default()
    });
    check(&html);
    assert!(
        html.contains("No finite points to draw.") && html.contains("No answers were counted.")
    );
}

#[test]
fn pictures_stand_alone() {
    let report = report("a", 12.5);
    let series = [("a".to_owned(), Histogram::from_degrees([10.0, 11.0], 18))];
    let matrix = vec![vec![3, 1], vec![0, 4]];
    let files = [
        feature_svg(&report.pictures[0], &report.class_names),
        histogram_svg("angles", &series),
        curve_svg(Quantity::Lambda, &report.runs),
        confusion_svg("a", &matrix, &report.class_names),
        margin_plot(&[]),
        annealing_plot(&[]),
    ];
    for svg in files {
        let document = Document::parse(&svg).unwrap();
        let root = document.root_element();
        assert_eq!(
            root.tag_name().namespace(),
            Some("http://www.w3.org/2000/svg")
        );
        assert!(
            root.descendants()
                .any(|node| node.tag_name().name() == "style")
        );
        assert!(
            !svg.contains("var("),
            "programs without custom properties read it too"
        );
        check_picture(root);
        check(&figure_page("a", &svg, "what it is"));
    }
}

#[test]
fn a_figure_page_follows_the_theme() {
    let html = figure_page("a", &margin_plot(&[]), "one\n\ntwo");
    assert_eq!(
        html.matches("<style>").count(),
        1,
        "the picture's own light styles are gone"
    );
    assert!(html.contains("<p>one</p><p>two</p>"));
}

#[test]
fn the_same_report_gives_the_same_page() {
    let report = report("a", 12.5);
    assert_eq!(page(&report), page(&report.clone()));
    assert_eq!(pictures(&report), pictures(&report.clone()));
}

#[test]
fn json_goes_there_and_back() {
    let whole = report("a", 12.5);
    assert_eq!(Report::from_json(&whole.to_json().unwrap()).unwrap(), whole);

    // What is not finite comes back as NaN; the page is the same.
    let lost = report("a", f64::NAN);
    let back = Report::from_json(&lost.to_json().unwrap()).unwrap();
    assert!(back.rows[0].test_error_percent.is_nan());
    assert!(back.pictures[0].points[0][0].is_nan());
    assert_eq!(back.rows[0].final_lambda, None);

    assert_eq!(Report::from_json("{}").unwrap(), Report::default());
    assert!(Report::from_json("[1").is_err());
}
