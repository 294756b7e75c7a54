//! The page as a whole: well-formed, self-contained, reproducible, and safe against any content.

use lsoftmax_metrics::{OpenSetPoint, OperatingPoint, RetrievalReport, TarAtFar, TpirAtFpir};
use lsoftmax_record::{
    Divergence, Evaluation, Frame, IdentificationRates, OpenSetEvaluation, Outcome, Progress,
    Verification,
};
use lsoftmax_report::{
    AngleHistogram, Boundary, ImageStrip, OpenSetRow, OpenSetSection, Quantity, Report, Run,
    StripRow, Thumbnail, annealing_plot, confusion_svg, curve_svg, feature_svg, figure_page,
    histogram_svg, margin_plot, page, pictures,
};
use roxmltree::{Document, Node};

const HOSTILE: &str = "</title><script>alert('x')</script>&\"<svg onload=1>\u{0}\u{b}";

fn verification(value: f64) -> Verification {
    let point = |far, tar| OperatingPoint {
        threshold: 0.5,
        far,
        tar,
    };
    let tar_at = |asked| TarAtFar {
        asked,
        measured: Some(point(asked, value / 100.0)),
    };
    Verification {
        same_pairs: 6,
        different_pairs: 8,
        folds: 2,
        accuracy_percent: value,
        standard_error_percent: value,
        threshold: value as f32,
        eer_percent: value,
        auc: value,
        smallest_far: value,
        tar_at_far: vec![tar_at(1e-2), tar_at(1e-3)],
        points: vec![
            point(0.0, 0.0),
            point(0.01, 0.5),
            point(0.1, value),
            point(1.0, 1.0),
        ],
        score_edges: vec![-1.0, 0.0, 1.0],
        same_counts: vec![1, 5],
        different_counts: vec![6, 2],
    }
}

fn open_set(value: f64) -> OpenSetEvaluation {
    OpenSetEvaluation {
        images: 6,
        classes: 2,
        same_names: 0,
        images_compared: true,
        verification: verification(value),
        retrieval: RetrievalReport {
            queries: 6,
            without_reference: 0,
            recall_at: vec![(1, value)],
            precision_at_1: value,
            r_precision: value,
            map_at_r: value,
            mean_average_precision: value,
        },
        nmi: Some(value),
        ami: Some(value),
        identification: Some(IdentificationRates {
            enrolled: 1,
            mated_probes: 1,
            non_mated_probes: 2,
            cmc: vec![(1, value)],
            tpir_at_fpir: vec![TpirAtFpir {
                asked: 1e-2,
                measured: Some(OpenSetPoint {
                    threshold: 0.5,
                    fpir: 1e-2,
                    tpir: value,
                }),
            }],
        }),
        mistakes: Vec::new(),
        neighbourhoods: Vec::new(),
        shown: String::new(),
    }
}

fn evaluation(value: f64) -> Evaluation {
    Evaluation {
        samples: 18,
        error_percent: value,
        mean_target_angle_deg: value,
        median_target_angle_deg: value,
        min_class_angle_deg: value,
        mean_feature_norm: value,
        target_angle_edges_deg: vec![0.0, 10.0, 20.0, 30.0],
        target_angle_counts: vec![0, 1, 2],
        confusion: Some(vec![vec![5, 1, 0], vec![0, 6, 0], vec![2, 0, 4]]),
    }
}

fn curve(value: f64) -> Vec<Progress> {
    let point = |step: u32| Progress {
        step: u64::from(step) * 10,
        loss: value,
        lambda: Some(if step < 25 { value } else { 0.0 }),
        confidence: value,
        m: if step < 10 { 1 } else { 4 },
        learning_rate: value / (1.0 + f64::from(step)),
        train_error_percent: Some(value),
        mean_target_angle_deg: value,
        feature_norm: value,
        weight_norm: value,
        test_error_percent: Some(value),
        held_out_error_percent: Some(value),
        images_per_second: value,
    };
    (0..=50).map(point).collect()
}

fn frames(value: f32) -> Vec<Frame> {
    let labels: Vec<u32> = (0..31).map(|i| i % 12).collect();
    vec![
        Frame {
            step: 100,
            points: (0..31).map(|i| [-3.0, i as f32 * value]).collect(),
            labels: labels.clone(),
            class_weights: vec![[1.0, value]],
        },
        Frame {
            step: 500,
            points: (0..30)
                .map(|i| [i as f32 * value, -3.0])
                .chain([[1.0, 1.0]])
                .collect(),
            labels,
            class_weights: (0..12).map(|i| [value, i as f32]).collect(),
        },
    ]
}

/// A run with every result measured and every number equal to `value`.
fn run(label: &str, seed: u64, value: f64) -> Run {
    Run {
        loss: label.to_owned(),
        m: 4,
        label: label.to_owned(),
        network: label.to_owned(),
        feature: 2,
        seed,
        outcome: Outcome {
            evaluation: evaluation(value),
            train_evaluation: evaluation(value),
            curve: curve(value),
            frames: frames(value as f32),
            open_set: Some(open_set(value)),
            data: None,
            divergence: (seed == 1).then_some(Divergence::NormCollapse),
            best: None,
            remarks: vec![label.to_owned()],
            seconds: value,
            images_per_second: value,
        },
    }
}

/// Two seeds of one loss, and softmax without a curve and a confusion matrix.
fn runs(label: &str, value: f64) -> [Run; 3] {
    let mut softmax = run("Softmax", 0, value);
    label.clone_into(&mut softmax.loss);
    label.clone_into(&mut softmax.network);
    softmax.outcome.evaluation.confusion = None;
    softmax.outcome.open_set = None;
    softmax.outcome.curve.drain(..50);
    [run(label, 0, value), run(label, 1, value), softmax]
}

/// All parts of a page, with an open set that has a thumbnail with a picture and one without.
fn report<'a>(runs: &'a [Run], label: &str, value: f64) -> Report<'a> {
    let image = |bytes: usize| Thumbnail {
        width: 2,
        height: 3,
        channels: 3,
        bytes: vec![100; bytes],
        caption: label.to_owned(),
        right: Some(bytes == 18),
    };
    Report {
        kind: "compare".to_owned(),
        open_set: Some(OpenSetSection {
            about: label.to_owned(),
            rows: runs.iter().filter_map(OpenSetRow::of_run).collect(),
            strips: vec![ImageStrip {
                title: label.to_owned(),
                about: label.to_owned(),
                rows: vec![StripRow {
                    caption: label.to_owned(),
                    images: vec![image(18), image(17)],
                }],
            }],
        }),
        title: label.to_owned(),
        command: label.to_owned(),
        data: label.to_owned(),
        created: label.to_owned(),
        class_names: vec![label.to_owned(), String::new()],
        runs: runs.iter().collect(),
        pictures: runs.iter().take(1).collect(),
        boundaries: vec![Boundary {
            label: label.to_owned(),
            between_deg: 60.0,
            norms: [1.0, value],
            plain_deg: value,
            margin_deg: [20.0, 40.0],
        }],
        notes: vec![label.to_owned()],
    }
}

/// The body of a page as XML. The content of `<main>` is written to be valid XML.
fn main_part(html: &str) -> &str {
    let start = html.find("<main").unwrap();
    let end = html.rfind("</main>").unwrap() + "</main>".len();
    &html[start..end]
}

/// Checks that hold for every page, whatever its content.
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
                // The inline bytes, and a text alternative.
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

/// Checks that hold for every picture: it has a title and a description, and every number in it is
/// valid.
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
    let runs = runs("L-Softmax m = 4", 12.5);
    let html = page(&report(&runs, "L-Softmax m = 4", 12.5));
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
    // Features, ROC, DET, cosines, two histograms, nine curves, one matrix, the plane of two classes.
    assert_eq!(outer_pictures(&document).count(), 17);
    assert!(main.contains("data-steps=\"100;500\""));
}

#[test]
fn text_of_the_caller_stays_text() {
    let runs = runs(HOSTILE, 3.0);
    let report = report(&runs, HOSTILE, 3.0);
    let html = page(&report);
    check(&html);
    assert!(!html.contains("alert('x')"));
    assert!(html.contains("alert(&#39;x&#39;)"));
    check(&figure_page(HOSTILE, &margin_plot(&[]), HOSTILE));
    for (name, svg) in pictures(&report) {
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
        let runs = runs("loss", value);
        let report = report(&runs, "loss", value);
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
fn empty_parts_are_named_or_left_out() {
    let html = page(&Report::default());
    check(&html);
    assert!(html.contains("No finished run yet."));
    assert!(!html.contains("2-D features</h2>"));
    let mut bare = run("a", 0, f64::NAN);
    bare.outcome = Outcome {
        frames: vec![Frame::default()],
        ..Outcome::default()
    };
    bare.outcome.evaluation.confusion = Some(vec![]);
    let html = page(&Report {
        runs: vec![&bare],
        pictures: vec![&bare],
        ..Report::default()
    });
    check(&html);
    assert!(
        html.contains("No finite points to draw.") && html.contains("No predictions were counted.")
    );
}

#[test]
fn pictures_stand_alone() {
    let runs = runs("a", 12.5);
    let report = report(&runs, "a", 12.5);
    let series = [("a".to_owned(), AngleHistogram::new(&evaluation(12.5)))];
    let matrix = vec![vec![3, 1], vec![0, 4]];
    let files = [
        feature_svg(report.pictures[0], &report.class_names),
        histogram_svg("angles", &series),
        curve_svg(&Quantity::named("lambda").unwrap(), &report.runs),
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
    let runs = runs("a", 12.5);
    let report = report(&runs, "a", 12.5);
    assert_eq!(page(&report), page(&report.clone()));
    assert_eq!(pictures(&report), pictures(&report.clone()));
}

/// The outcome of a run, written as JSON and read again.
fn read_again(run: &Run) -> Run {
    let text = serde_json::to_string(&run.outcome).unwrap();
    Run {
        outcome: serde_json::from_str(&text).unwrap(),
        ..run.clone()
    }
}

#[test]
fn an_outcome_read_from_json_gives_the_same_page() {
    let whole = runs("a", 12.5);
    let back = whole.each_ref().map(read_again);
    assert_eq!(back, whole);
    let html = page(&report(&whole, "a", 12.5));
    assert_eq!(page(&report(&back, "a", 12.5)), html);

    // A number that is not finite is read as NaN.
    let mut lost = runs("a", f64::NAN);
    for run in &mut lost {
        let points = |open_set: &mut OpenSetEvaluation| {
            *open_set = OpenSetEvaluation {
                verification: Verification {
                    accuracy_percent: f64::NAN,
                    standard_error_percent: f64::NAN,
                    ..verification(0.5)
                },
                ..self::open_set(0.5)
            };
        };
        run.outcome.open_set.iter_mut().for_each(points);
    }
    let back = lost.each_ref().map(read_again);
    assert!(back[0].outcome.evaluation.error_percent.is_nan());
    assert!(back[0].outcome.frames[1].points[0][0].is_nan());
    let found = back[0].outcome.open_set.as_ref().unwrap();
    assert!(found.verification.accuracy_percent.is_nan());
    // An optional λ or error that is not finite is missing after reading, so the curves differ.
    assert_eq!(back[0].outcome.curve[0].lambda, None);
    check(&page(&report(&back, "a", f64::NAN)));
}
