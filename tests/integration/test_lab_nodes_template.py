"""The lab's subset of Go templates, as docker's --format uses them."""

import pytest

from tests.lab.nodes.docker.template import TemplateError, render

VALUE: dict[str, object] = {
    "Name": "/etcd",
    "State": {"Running": True, "ExitCode": 0},
    "Config": {"Env": ["A=1", "B=<2>"], "Labels": {"io.name": "etcd"}},
    "Mounts": [{"Source": "/a", "Destination": "/b"}],
    "Nothing": None,
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{.Name}} {{.State.Running}} {{ .State.ExitCode }}", "/etcd true 0"),
        ("{{json .Config.Env}}", '["A=1","B=\\u003c2\\u003e"]'),
        ("{{.Config.Env}} {{.Nothing}}", "[A=1 B=<2>] <no value>"),
        ('{{index .Config.Labels "io.name"}}', "etcd"),
        ("{{range .Mounts}}{{.Source}}:{{.Destination}};{{end}}", "/a:/b;"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}{{end}}", "io.name=etcd"),
        ("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=<2>\n"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if .Nothing}}{{.No.Such}}{{else}}none{{end}}", "none"),
        ("{{with $x := .State}}{{$x.Running}}{{end}}", "true"),
        ('{{join .Config.Env ","}} {{.Name | json}}', 'A=1,B=<2> "/etcd"'),
        ("{{(index .Mounts 0).Source}} a {{- .Name -}} b", "/a a/etcdb"),
        ('{{if and .State.Running (eq .Name "/etcd")}}yes{{end}}', "yes"),
        ("{{len .Mounts}} {{upper .Name}}", "1 /ETCD"),
    ],
)
def test_template(template: str, expected: str) -> None:
    """What docker would print."""
    assert render(template, VALUE) == expected


@pytest.mark.parametrize("template", ["{{.No.Such}}", "{{if .Name}}", "{{nope .Name}}", "{{end}}", "{{$x}}"])
def test_a_wrong_template_is_an_error(template: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(TemplateError):
        render(template, VALUE)
