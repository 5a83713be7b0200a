//! What the binary prints for the sample, without a cluster.
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn render(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_blog"));
    let command = command.arg("render").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn the_sample_is_rendered_from_its_file_and_from_standard_input() {
    let file = render(&["-f", "blog.yaml"], "");
    assert!(file.status.success(), "{file:?}");
    expect_test::expect_file!["rendered.yaml"].assert_eq(&String::from_utf8(file.stdout.clone()).unwrap());
    let sample = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/blog.yaml")).unwrap();
    assert_eq!(render(&["-f", "-"], &sample).stdout, file.stdout);
}

#[test]
fn a_wrong_document_is_one_line_with_its_place() {
    let output = render(
        &["-f", "-"],
        "apiVersion: demo.kubewright.dev/v1\nkind: Blog\nmetadata: {name: a}\nspec: {posts: [x]}\n",
    );
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    let expected = "error: standard input, document 1 (Blog a): spec.posts: invalid type: sequence, expected a map\n";
    assert_eq!(message, expected);
}
