"""Chat formats: nine real templates as they are, and other models' habits in small templates."""

import json

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from conftest import TEST_DATA
from lib import chat, thinking
from lib.chat_template import Shape, find_shape

SYSTEM = "You teach algebra."
QUESTION = "What is 2 + 2?"


def tokenizer(template=None, tokens=(), bos=None, eos="<eos>", adds_bos=False):
    """A byte-level tokenizer without merges, with `tokens` added as special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: number for number, character in enumerate(alphabet)}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=bos, eos_token=eos, name_or_path="a-model"
    )
    fast.add_special_tokens({"additional_special_tokens": list(tokens)})
    if adds_bos:
        fast.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, fast.bos_token_id)]
        )
    fast.chat_template = template
    return fast


def with_real_template(name, **kwargs):
    path = TEST_DATA / "chat_templates" / f"{name}.jinja"
    if not path.exists():
        pytest.skip(f"needs the test data: no file {path}")
    return tokenizer(path.read_text(encoding="utf-8"), **kwargs)


def ids_of(model_tokenizer, *tokens):
    return sorted(model_tokenizer.convert_tokens_to_ids(token) for token in tokens)


def chatml(before="", default="", content="m['content']", roles="True"):
    """ChatML behind `before`, with a default system text and an expression for the content.

    `roles` is a condition on the messages that are written.
    """
    first = (
        "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
        + default
        + "<|im_end|>\n' }}{% endif %}"
    )
    return (
        before + (first if default else "") + "{% for m in messages %}{% if " + roles + " %}"
        "{{ '<|im_start|>' + m['role'] + '\n' + "
        + content
        + " + '<|im_end|>\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )


NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
)
SYSTEM_APART = (
    "{% if messages[0]['role'] == 'system' %}"
    "{% set system = messages[0]['content'] %}{% set loop_messages = messages[1:] %}"
    "{% else %}{% set system = DEFAULT %}{% set loop_messages = messages %}{% endif %}"
)
CHATML_SYSTEM = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"

LLAMA_2 = (
    SYSTEM_APART.replace("DEFAULT", "false") + "{% for m in loop_messages %}"
    "{% set content = m['content'] %}{% if loop.index0 == 0 and system != false %}"
    "{% set content = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + content %}{% endif %}"
    "{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n'"
    " + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA_3 = (
    SYSTEM_APART.replace("DEFAULT", "''") + "{{ bos_token }}"
    "{% set system = system if system is string else system[0]['text'] %}"
    "{% set prefix = system + '\n\n' if system else '' %}"
    "{% for m in loop_messages %}"
    "{{ '<start_of_turn>' + m['role'] + '\n' + (prefix if loop.first else '') }}"
    "{{ m['content'] | trim if m['content'] is string else m['content'][0]['text'] | trim }}"
    "{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
GEMMA_4 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|turn>' + m['role'] + '\n' + m['content'] | trim + '<turn|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|turn>model\n<|channel>thought\n<channel|>' }}{% endif %}"
)
PHI_3 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
    "{{ '<|user|>\n' + m['content'] + '<|end|>\n<|assistant|>\n' }}"
    "{% elif m['role'] == 'assistant' %}{{ m['content'] + '<|end|>\n' }}{% endif %}{% endfor %}"
)
PHI_4 = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '<|im_sep|>' + m['content'] + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)
MISTRAL_1 = (
    "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}"
    "{% endif %}{% if m['role'] == 'user' %}"
    "{{ '[INST] ' + m['content'] + ' [/INST]' }}{% else %}"
    "{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_3 = (
    SYSTEM_APART.replace("DEFAULT", "''")
    + "{{ bos_token }}{% for m in loop_messages %}{% if m['role'] == 'user' %}"
    "{{ '[INST] ' + ((system + '\n\n') if loop.last and system "
    "else '') + m['content'] + '[/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_7 = (
    "{% set today = strftime_now('%Y-%m-%d') %}{{ bos_token }}"
    + SYSTEM_APART.replace("DEFAULT", "'You are Mistral Small 3. The current date is ' + today")
    + "{{ '[SYSTEM_PROMPT]' + system + '[/SYSTEM_PROMPT]' }}{% for m in loop_messages %}"
    "{{ '[INST]' + m['content'] + '[/INST]' if m['role'] == 'user' "
    "else m['content'] + eos_token }}{% endfor %}"
)
DEEPSEEK_2 = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m['role'] == 'user' %}{{ 'User: ' + m['content'] + '\n\n' }}"
    "{% elif m['role'] == 'assistant' %}{{ 'Assistant: ' + m['content'] + eos_token }}"
    "{% elif m['role'] == 'system' %}{{ m['content'] + '\n\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
DEEPSEEK_3 = (
    "{% set ns = namespace(system='') %}{% for m in messages %}{% if m['role'] == 'system' %}"
    "{% set ns.system = ns.system + m['content'] %}"
    "{% endif %}{% endfor %}{{ bos_token }}{{ ns.system }}"
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '<｜User｜>' + m['content'] }}"
    "{% elif m['role'] == 'assistant' %}{{ '<｜Assistant｜></think>' + m['content'] + eos_token }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜></think>' }}{% endif %}"
)
ZEPHYR = (
    "{% for m in messages %}\n{% if m['role'] == 'user' %}\n"
    "{{ '<|user|>\n' + m['content'] + eos_token }}\n"
    "{% elif m['role'] == 'system' %}\n{{ '<|system|>\n' + m['content'] + eos_token }}\n"
    "{% elif m['role'] == 'assistant' %}\n"
    "{{ '<|assistant|>\n'  + m['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)
VICUNA = (
    SYSTEM_APART.replace("DEFAULT", "'A chat between a curious user and an assistant.'")
    + "{{ bos_token + system }}"
    "{% for m in loop_messages %}{% if m['role'] == 'user' %}{{ ' USER: ' + m['content'].strip() }}"
    "{% else %}{{ ' ASSISTANT: ' + m['content'].strip() + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}"
)
ALPACA = (
    "{% for m in messages %}{% if m['role'] == 'system' %}"
    "{{ m['content'] + '\n\n' }}{% elif m['role'] == 'user' %}"
    "{{ '### Instruction:\n' + m['content'] + '\n\n' }}"
    "{% else %}{{ '### Response:\n' + m['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}"
)
COMMAND_R = (
    SYSTEM_APART.replace("DEFAULT", "'You are Command-R.'") + "{{ bos_token }}"
    "{{ '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>' + system + '<|END_OF_TURN_TOKEN|>' }}"
    "{% for m in loop_messages %}"
    "{{ '<|START_OF_TURN_TOKEN|>'"
    " + ('<|USER_TOKEN|>' if m['role'] == 'user' else '<|CHATBOT_TOKEN|>') }}"
    "{{ m['content'].strip() + '<|END_OF_TURN_TOKEN|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"
)
GLM_4 = (
    "[gMASK]<sop>{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] }}"
    "{% if m['role'] == 'user' and SUFFIX %}{{ '/nothink' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
INTERNLM_1 = (
    "{% for m in messages %}{% if m['role'] == 'user' %}"
    "{{ '<|User|>:' + m['content'] + '<eoh>\n' }}"
    "{% elif m['role'] == 'assistant' %}{{ '<|Bot|>:' + m['content'] + '<eoa>\n' }}"
    "{% else %}{{ '<|System|>:' + m['content'] + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Bot|>:' }}{% endif %}"
)
GRANITE = (
    SYSTEM_APART.replace(
        "DEFAULT", "\"Today's Date: \" + strftime_now('%B %d, %Y') + '.\nYou are Granite.'"
    )
    + "{{ '<|start_of_role|>system<|end_of_role|>' + system + '<|end_of_text|>\n' }}"
    "{% for m in loop_messages %}"
    "{{ '<|start_of_role|>' + m['role'] + '<|end_of_role|>'"
    " + m['content'] + '<|end_of_text|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}"
)
HARMONY = (
    "{% macro header() %}{{ 'You are ChatGPT.\nCurrent date: ' + strftime_now('%Y-%m-%d') }}"
    "{{ '\n\nReasoning: medium' }}{% endmacro %}"
    "{{ '<|start|>system<|message|>' + header() + '<|end|>' }}"
    "{% for m in messages %}{% if m['role'] == 'system' %}"
    "{{ '<|start|>developer<|message|># Instructions\n\n' + m['content'] + '<|end|>' }}"
    "{% elif m['role'] == 'user' %}"
    "{{ '<|start|>user<|message|>' + m['content'] + '<|end|>' }}{% else %}"
    "{{ '<|start|>assistant<|channel|>final<|message|>' + m['content'] + '<|return|>' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)
NEMOTRON = (
    "{{ '<SPECIAL_10>System\n'"
    " + (messages[0]['content'] if messages[0]['role'] == 'system' else '') + '\n\n' }}"
    "{% for m in messages if m['role'] != 'system' %}"
    "{{ '<SPECIAL_11>' + m['role'] | capitalize + '\n' + m['content'].strip() }}"
    "{{ '\n' if m['role'] == 'user' else '\n<SPECIAL_12>\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<SPECIAL_11>Assistant\n<think>\n\n' }}{% endif %}"
)
QUESTION_ANSWER = (
    "{% set names = {'system': '', 'user': 'Question: ', 'assistant': 'Answer: '} %}"
    "{% for m in messages %}{{ names[m['role']] + m['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Answer:' }}{% endif %}"
)
Q_A = (
    "{% for m in messages %}{{ 'A: ' if m['role'] == 'assistant' else 'Q: ' }}"
    "{{ m['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}A:{% endif %}"
)
PARTS = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}{% for p in m['content'] %}"
    "{% if p['type'] == 'text' %}{{ p['text'] }}"
    "{% elif p['type'] == 'image' %}<image>{% endif %}{% endfor %}"
    "{{ '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
PARTS_FOR_USERS = (
    "{% for m in messages %}{% if m['role'] == 'system' %}"
    "{{ 'System: ' + m['content'] + '\n' }}{% else %}"
    "{{ m['role'] + ': ' }}{% for p in m['content'] %}"
    "{{ p['text'] }}{% endfor %}{{ '\n' }}{% endif %}{% endfor %}"
)

REAL_PROMPTS = {
    "HuggingFaceTB-SmolLM3-3B": "<|im_start|>system\n## Metadata\n\n"
    "Knowledge Cutoff Date: June 2025\nReasoning Mode: /think\n\n"
    f"## Custom Instructions\n\n{SYSTEM}\n\n<|im_end|>\n<|im_start|>user\n",
    "Qwen-Qwen2.5-7B-Instruct": CHATML_SYSTEM,
    "Qwen3.5-4B": CHATML_SYSTEM,
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": f"<s>{SYSTEM}<｜User｜>",
    "google-gemma-2-2b-it": f"<s><start_of_turn>user\n{SYSTEM}\n\n",
    "meta-llama-Llama-3.2-3B-Instruct": "<s><|start_header_id|>system<|end_header_id|>\n\n"
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
    f"{SYSTEM}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n",
    "microsoft-Phi-3.5-mini-instruct": f"<|system|>\n{SYSTEM}<|end|>\n<|user|>\n",
    "mistralai-Mistral-Nemo-Instruct-2407": f"<s>[INST]{SYSTEM}\n\n",
}

PROMPTS = {
    "ChatML": (chatml(), CHATML_SYSTEM),
    "a default system text gives way to ours": (chatml(default="You are Qwen."), CHATML_SYSTEM),
    "Llama 2 wraps the system prompt inside the user's turn": (
        LLAMA_2,
        f"<s>[INST] <<SYS>>\n{SYSTEM}\n<</SYS>>\n\n",
    ),
    "Llama 3 trims its contents": (
        LLAMA_3,
        f"<s><|start_header_id|>system<|end_header_id|>\n\n{SYSTEM}"
        "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n",
    ),
    "Gemma 3 folds by itself": (GEMMA_3, f"<s><start_of_turn>user\n{SYSTEM}\n\n"),
    "Gemma 4 has a system turn": (GEMMA_4, f"<s><|turn>system\n{SYSTEM}<turn|>\n<|turn>user\n"),
    "Phi 3 drops a system message silently": (PHI_3, f"<s><|user|>\n{SYSTEM}\n\n"),
    "Phi 4 has no newlines": (
        PHI_4,
        f"<|im_start|>system<|im_sep|>{SYSTEM}<|im_end|><|im_start|>user<|im_sep|>",
    ),
    "Mistral v1 raises on a system message": (MISTRAL_1, f"<s>[INST] {SYSTEM}\n\n"),
    "Mistral v3 puts it into the last user turn": (MISTRAL_3, f"<s>[INST] {SYSTEM}\n\n"),
    "Mistral v7 has a place for it": (
        MISTRAL_7,
        f"<s>[SYSTEM_PROMPT]{SYSTEM}[/SYSTEM_PROMPT][INST]",
    ),
    "DeepSeek V2 has plain roles, and a space after them": (DEEPSEEK_2, f"<s>{SYSTEM}\n\nUser: "),
    "DeepSeek V3 has no system header": (DEEPSEEK_3, f"<s>{SYSTEM}<｜User｜>"),
    "Zephyr": (ZEPHYR, f"<|system|>\n{SYSTEM}<eos>\n<|user|>\n"),
    "Vicuna keeps the space after USER:": (VICUNA, f"<s>{SYSTEM} USER: "),
    "Alpaca": (ALPACA, f"{SYSTEM}\n\n### Instruction:\n"),
    "Command-R": (
        COMMAND_R,
        f"<s><|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>{SYSTEM}"
        "<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>",
    ),
    "GLM 4": (GLM_4.replace("SUFFIX", "false"), f"[gMASK]<sop><|system|>\n{SYSTEM}<|user|>\n"),
    "GLM 4.5 adds /nothink behind the user's words": (
        GLM_4.replace("SUFFIX", "true"),
        f"[gMASK]<sop><|system|>\n{SYSTEM}<|user|>\n",
    ),
    "InternLM 1": (INTERNLM_1, f"<|System|>:{SYSTEM}\n<|User|>:"),
    "Granite's default is dated": (
        GRANITE,
        f"<|start_of_role|>system<|end_of_role|>{SYSTEM}"
        "<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>",
    ),
    "gpt-oss has a dated header from a macro, and a developer turn": (
        HARMONY,
        "<|start|>system"
        "<|message|>You are ChatGPT.\nCurrent date: 2024-07-26\n\nReasoning: medium<|end|>"
        f"<|start|>developer<|message|># Instructions\n\n{SYSTEM}<|end|><|start|>user<|message|>",
    ),
    "Nemotron": (NEMOTRON, f"<SPECIAL_10>System\n{SYSTEM}\n\n<SPECIAL_11>User\n"),
    "text between header and content stays": (QUESTION_ANSWER, f"{SYSTEM}\nQuestion: "),
    "a template that writes <bos> itself": (chatml(before="<bos>"), "<bos>" + CHATML_SYSTEM),
    "contents as lists of parts": (PARTS, f"<|system|>{SYSTEM}<|end|><|user|>"),
    "parts for the user, a string for the system": (PARTS_FOR_USERS, f"System: {SYSTEM}\nuser: "),
    "parts, and no system role": (NO_SYSTEM + PARTS, f"<|user|>{SYSTEM}\n\n"),
    "a loop over tools that are None": (
        chatml(before="{% for t in tools %}{{ t }}{% endfor %}"),
        CHATML_SYSTEM,
    ),
    "an empty list of tools would mean tools": (
        chatml(before="{% if tools is not none %}{{ 'Environment: ipython\n' }}{% endif %}"),
        CHATML_SYSTEM,
    ),
    "a message that is dropped still keeps the default away": (
        chatml(default="You are Qwen.", roles="m['role'] != 'system'"),
        f"<|im_start|>user\n{SYSTEM}\n\n",
    ),
    "user's words in lower case": (
        chatml(content="(m['content'] | lower if m['role'] == 'user' else m['content'])"),
        CHATML_SYSTEM,
    ),
    "user's words in title case": (
        chatml(content="(m['content'] | title if m['role'] == 'user' else m['content'])"),
        CHATML_SYSTEM,
    ),
    "user's words twice: nothing behind the first place leaks": (
        chatml(
            content="m['content'] + ('\nRead it again: '"
            " + m['content'] if m['role'] == 'user' else '')"
        ),
        CHATML_SYSTEM,
    ),
    "the system prompt behind the user's words would come too late": (
        "{% for m in messages | reverse %}"
        "{{ '<' + m['role'] + '>' + m['content'] + '\n' }}{% endfor %}",
        f"<user>{SYSTEM}\n\n",
    ),
    "a user turn alone is refused": (
        chatml(
            before="{% if messages | length < 2 %}{{ raise_exception('too short') }}{% endif %}"
        ),
        CHATML_SYSTEM,
    ),
    "a chat must end with the assistant": (
        chatml(
            before="{% if messages[-1]['role'] != 'assistant' %}"
            "{{ raise_exception('unfinished') }}{% endif %}"
        ),
        CHATML_SYSTEM,
    ),
    "a generation prompt is refused": (
        chatml(
            before="{% if add_generation_prompt %}{{ raise_exception('for training') }}{% endif %}"
        ),
        CHATML_SYSTEM,
    ),
    "the default of several named templates": (
        {"default": chatml(), "tool_use": chatml(before="TOOLS"), "rag": chatml(before="RAG")},
        CHATML_SYSTEM,
    ),
    "the default loops over None while a tool_use template exists": (
        {
            "default": chatml(before="{% for t in tools %}{% endfor %}"),
            "tool_use": chatml(before="TOOLS"),
        },
        CHATML_SYSTEM,
    ),
    "the only named template": ({"chat": chatml()}, CHATML_SYSTEM),
    "date_string without a default": (
        chatml(before="{{ 'Today: ' + date_string + '\n' }}"),
        "Today: 26 Jul 2024\n" + CHATML_SYSTEM,
    ),
    "a template's literal date stays": (
        chatml(
            before="{% if date_string is not defined %}"
            "{% set date_string = '1 May 2025' %}{% endif %}{{ date_string }}"
        ),
        "1 May 2025" + CHATML_SYSTEM,
    ),
}
NOT_FOR_ANSWERS = {"a chat must end with the assistant", "a generation prompt is refused"}


@pytest.mark.parametrize("name", REAL_PROMPTS)
def test_a_real_template_is_cut_where_the_users_words_begin(name):
    assert chat.pre_query(with_real_template(name, bos="<s>"), SYSTEM) == REAL_PROMPTS[name]


def test_the_hermes_tool_template_is_cut_with_an_empty_list_of_tools():
    prompt = chat.pre_query(
        with_real_template("NousResearch-Hermes-3-Llama-3.1-8B-tool_use", bos="<s>"), SYSTEM
    )
    assert prompt.startswith("<s><|im_start|>system\nYou are a function calling AI model.")
    assert "Here are the available tools: <tools>  </tools>" in prompt
    assert prompt.endswith(f"</tool_call><|im_end|>\n{CHATML_SYSTEM}")


@pytest.mark.parametrize("habit", PROMPTS)
def test_a_template_with_its_own_habits_is_cut_where_the_users_words_begin(habit):
    template, expected = PROMPTS[habit]
    assert chat.pre_query(tokenizer(template, bos="<s>"), SYSTEM) == expected


@pytest.mark.parametrize("habit", [h for h in PROMPTS if h not in NOT_FOR_ANSWERS])
def test_an_answers_prompt_begins_with_the_pre_query_prompt_and_the_question(habit):
    template, expected = PROMPTS[habit]
    text = chat.render(tokenizer(template, bos="<s>"), conversation(SYSTEM, QUESTION))
    assert text.lower().startswith((expected + QUESTION).lower())


def conversation(system, *turns):
    """Messages of user and assistant in turn, behind a system message unless it is None."""
    messages = [] if system is None else [{"role": "system", "content": system}]
    for number, turn in enumerate(turns):
        role = "assistant" if number % 2 else "user"
        messages.append({"role": role, "content": turn})
    return messages


SHAPES = {
    "ChatML": Shape("own", "none", "header"),
    "Mistral v1 raises on a system message": Shape("folded", "none", "header"),
    "a message that is dropped still keeps the default away": Shape("both", "none", "header"),
    "contents as lists of parts": Shape("own", "all", "header"),
    "parts for the user, a string for the system": Shape("own", "turns", "header"),
    "a generation prompt is refused": Shape("own", "none", "nothing"),
    "a chat must end with the assistant": Shape("own", "none", "answer"),
}


@pytest.mark.parametrize("habit", SHAPES)
def test_the_shape_that_a_template_takes_is_found_by_rendering_marked_words(habit):
    template, _ = PROMPTS[habit]
    assert find_shape(tokenizer(template, bos="<s>"), with_system=True) == SHAPES[habit]


def test_a_system_prompt_that_changes_its_length_in_lower_case_does_not_move_the_cut():
    assert chat.pre_query(tokenizer(chatml()), "İİİ").endswith("İİİ<|im_end|>\n<|im_start|>user\n")


def test_a_folded_system_prompt_is_followed_by_one_blank_line_whatever_it_ends_in():
    assert (
        chat.pre_query(tokenizer(MISTRAL_1, bos="<s>"), f"{SYSTEM}\n\n")
        == f"<s>[INST] {SYSTEM}\n\n"
    )


def test_an_empty_system_prompt_leaves_the_template_its_default():
    model_tokenizer = tokenizer(chatml(default="You are Qwen."))
    assert (
        chat.pre_query(model_tokenizer, "")
        == "<|im_start|>system\nYou are Qwen.<|im_end|>\n<|im_start|>user\n"
    )
    assert chat.render(model_tokenizer, conversation("", "Hi")).startswith(
        "<|im_start|>system\nYou are Qwen.<|im_end|>\n"
    )


def test_the_date_is_the_same_whatever_day_it_is():
    model_tokenizer = tokenizer(MISTRAL_7, bos="<s>")
    assert "The current date is 2024-07-26[/SYSTEM_PROMPT]" in chat.render(
        model_tokenizer, conversation(None, "Hi")
    )
    assert "Today's Date: July 26, 2024." in chat.render(
        tokenizer(GRANITE), conversation(None, "Hi")
    )


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        pytest.param(None, "no chat template", id="a base model"),
        pytest.param(
            {"tool_use": chatml(), "rag": chatml()},
            "no chat template",
            id="several names and no default",
        ),
        pytest.param(
            "{{ raise_exception('never\n\nagain') }}",
            "never again",
            id="a template that refuses everything",
        ),
        pytest.param(
            "{{ 1 // (messages | length - messages | length) }}",
            "division or modulo by zero",
            id="a template that cannot be computed",
        ),
        pytest.param(
            "{% for m in messages %}{{ m['role'] }}{% endfor %}",
            "not in the text",
            id="no contents at all",
        ),
        pytest.param(
            NO_SYSTEM + chatml(roles="false"),
            "System role not supported",
            id="no system role and no contents",
        ),
        pytest.param(
            "{{ messages[-1]['content'].split('\n')[-1] }}",
            "before the user's",
            id="the last line alone",
        ),
        pytest.param(
            "{% for m in messages %}",
            "Unexpected end of template",
            id="a template that does not parse",
        ),
        pytest.param(
            "{% for m in messages if m['content'] is not string %}{{ m['content'] }}{% endfor %}",
            "not in the text",
            id="contents printed as data",
        ),
    ],
)
def test_a_template_that_cannot_be_cut_is_one_line_that_names_the_model(template, problem):
    with pytest.raises(ValueError, match="a-model: ") as error:
        chat.pre_query(tokenizer(template), SYSTEM)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_a_conversation_is_rendered_with_every_turn_and_the_next_header():
    messages = conversation(SYSTEM, "Hi", "Hello", QUESTION)
    text = chat.render(tokenizer(chatml()), messages)
    assert text == (
        f"{CHATML_SYSTEM}Hi<|im_end|>\n<|im_start|>assistant\nHello"
        f"<|im_end|>\n<|im_start|>user\n{QUESTION}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_finished_conversation_is_rendered_without_a_header():
    text = chat.render(tokenizer(chatml()), conversation(None, "Hi", "Hello"), answer=False)
    assert text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"


def test_a_system_message_is_folded_into_the_first_turn_and_the_messages_stay_as_they_were():
    messages = conversation(SYSTEM, "Hi", "Hello", QUESTION)
    before = json.dumps(messages)
    text = chat.render(tokenizer(MISTRAL_1, bos="<s>"), messages)
    assert text == f"<s>[INST] {SYSTEM}\n\nHi [/INST]Hello<eos>[INST] {QUESTION} [/INST]"
    assert json.dumps(messages) == before


def test_a_conversation_that_the_template_refuses_is_one_line():
    with pytest.raises(
        ValueError, match="a-model: its chat template refuses: Conversation roles must alternate"
    ):
        chat.render(tokenizer(MISTRAL_1, bos="<s>"), [{"role": "user", "content": "Hi"}] * 2)


@pytest.mark.parametrize(
    ("template", "tokens", "ends", "answer_ends", "strings"),
    [
        pytest.param(
            chatml(),
            ["<|im_start|>", "<|im_end|>"],
            ["<|im_end|>"],
            ["<|im_end|>"],
            [],
            id="ChatML",
        ),
        pytest.param(chatml(), [], [], [], ["<|im_end|>"], id="ChatML without its tokens"),
        pytest.param(
            LLAMA_3,
            ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
            ["<|eot_id|>"],
            ["<|eot_id|>"],
            [],
            id="Llama 3: not the header that follows",
        ),
        pytest.param(
            GEMMA_3,
            ["<start_of_turn>", "<end_of_turn>", "\n", "\n\n", "model"],
            ["<end_of_turn>"],
            ["<end_of_turn>"],
            [],
            id="Gemma: its newline and word tokens end nothing",
        ),
        pytest.param(
            PHI_3,
            ["<|end", "<|end|>", "<|end|"],
            ["<|end|>"],
            ["<|end|>"],
            [],
            id="Phi 3: the longest",
        ),
        pytest.param(
            DEEPSEEK_3,
            ["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"],
            ["<｜Assistant｜>"],
            [],
            [],
            id="DeepSeek: the assistant's header, and never a think tag",
        ),
        pytest.param(
            MISTRAL_3,
            ["[INST]", "[/INST]"],
            ["[/INST]"],
            [],
            [],
            id="Mistral v3: [/INST] is a token",
        ),
        pytest.param(MISTRAL_1, [], [], [], ["[/INST]"], id="Mistral v1: [/INST] is text"),
        pytest.param(LLAMA_2, [], [], [], ["[/INST]"], id="Llama 2"),
        pytest.param(VICUNA, [], [], [], ["ASSISTANT:"], id="Vicuna"),
        pytest.param(
            DEEPSEEK_2,
            ["\n\n", "Assistant", ":"],
            [],
            [],
            ["Assistant:"],
            id="DeepSeek V2: newlines and words are no marks",
        ),
        pytest.param(
            "{% for m in messages %}"
            "{{ '[' + m['role'] + ']' + m['content'] + ' Bot:<think>\n' }}{% endfor %}",
            ["<think>"],
            [],
            [],
            ["Bot:"],
            id="a think tag is no mark",
        ),
        pytest.param(ALPACA, [], [], [], ["### Response:"], id="Alpaca"),
        pytest.param(QUESTION_ANSWER, [], [], [], ["Answer:"], id="questions and answers"),
        pytest.param(Q_A, [], [], [], ["\nA:"], id="A: ends a problem only on a new line"),
        pytest.param(ZEPHYR, [], [], [], [], id="Zephyr: the end of the turn is EOS"),
        pytest.param(
            COMMAND_R,
            [
                "<|START_OF_TURN_TOKEN|>",
                "<|END_OF_TURN_TOKEN|>",
                "<|USER_TOKEN|>",
                "<|CHATBOT_TOKEN|>",
            ],
            ["<|END_OF_TURN_TOKEN|>"],
            ["<|END_OF_TURN_TOKEN|>"],
            [],
            id="Command-R",
        ),
        pytest.param(
            GLM_4.replace("SUFFIX", "false"),
            ["<|user|>", "<|assistant|>"],
            ["<|assistant|>"],
            [],
            [],
            id="GLM: the assistant's header",
        ),
        pytest.param(
            NEMOTRON,
            ["<SPECIAL_11>", "<SPECIAL_12>"],
            ["<SPECIAL_11>"],
            ["<SPECIAL_12>"],
            [],
            id="Nemotron: a newline, then the header",
        ),
        pytest.param(
            HARMONY,
            ["<|start|>", "<|message|>", "<|end|>", "<|return|>", "<|channel|>"],
            ["<|end|>"],
            ["<|return|>"],
            [],
            id="gpt-oss: an answer goes on behind its thinking's <|end|>",
        ),
        pytest.param(
            chatml(content="m['content'] + '\nPlease be brief.'"),
            ["<|im_end|>"],
            ["<|im_end|>"],
            [],
            ["Please be brief."],
            id="a text behind the user's words",
        ),
        pytest.param(
            "{% for m in messages %}{{ m['role'] + '\n' + m['content'] + '\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ 'assistant\n' }}{% endif %}",
            [],
            [],
            [],
            [],
            id="a plain word is no stop",
        ),
        pytest.param(
            "{% if messages | length < 2 %}{{ raise_exception('alone') }}{% endif %}" + chatml(),
            ["<|im_end|>"],
            ["<|im_end|>"],
            ["<|im_end|>"],
            [],
            id="a user turn alone is refused",
        ),
        pytest.param(None, ["<|im_end|>"], [], [], [], id="a base model has its EOS alone"),
    ],
)
def test_a_turn_ends_where_the_template_ends_it(template, tokens, ends, answer_ends, strings):
    model_tokenizer = tokenizer(template, tokens, bos="<s>")
    assert chat.stop_token_ids(model_tokenizer, None) == ids_of(model_tokenizer, "<eos>", *ends)
    assert chat.stop_token_ids(model_tokenizer, None, user_turn=False) == ids_of(
        model_tokenizer, "<eos>", *answer_ends
    )
    assert chat.stop_strings(model_tokenizer) == strings


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("HuggingFaceTB-SmolLM3-3B", "<|im_end|>"),
        ("NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "<|im_end|>"),
        ("Qwen-Qwen2.5-7B-Instruct", "<|im_end|>"),
        ("Qwen3.5-4B", "<|im_end|>"),
        ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "<｜Assistant｜>"),
        ("google-gemma-2-2b-it", "<end_of_turn>"),
        ("meta-llama-Llama-3.2-3B-Instruct", "<|eot_id|>"),
        ("microsoft-Phi-3.5-mini-instruct", "<|end|>"),
        ("mistralai-Mistral-Nemo-Instruct-2407", "[/INST]"),
    ],
)
def test_a_real_template_names_the_token_that_ends_a_users_turn(name, end):
    model_tokenizer = with_real_template(
        name, tokens=[end, "<think>", "<|im_start|>", "<|start_header_id|>"], bos="<s>"
    )
    assert chat.stop_token_ids(model_tokenizer, None) == ids_of(model_tokenizer, "<eos>", end)
    assert chat.stop_strings(model_tokenizer) == []
    assert chat.stop_strings(with_real_template(name, bos="<s>")) == [end]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param(None, {256}, id="no generation config"),
        pytest.param({}, {256}, id="an empty one"),
        pytest.param({"eos_token_id": None}, {256}, id="null"),
        pytest.param({"eos_token_id": 7}, {7, 256}, id="one id"),
        pytest.param({"eos_token_id": [9, 7, 9, 256]}, {7, 9, 256}, id="a list with a repeat"),
    ],
)
def test_stop_tokens_are_sorted_and_unique_with_those_of_the_generation_config(config, expected):
    model_tokenizer = tokenizer()
    assert model_tokenizer.eos_token_id == 256
    assert chat.stop_token_ids(model_tokenizer, config) == sorted(expected)


def test_a_tokenizer_without_eos_stops_at_what_the_config_says():
    assert chat.stop_token_ids(tokenizer(eos=None), {"eos_token_id": 5}) == [5]


@pytest.mark.parametrize("adds_bos", [True, False])
@pytest.mark.parametrize(
    ("text", "bos_when_adding", "bos_else"),
    [
        pytest.param("<s>[INST] hi", 1, 1, id="the template wrote it"),
        pytest.param("<|user|>\nhi", 1, 0, id="the template left it to the tokenizer"),
        pytest.param("", 1, 0, id="empty text"),
    ],
)
def test_encoded_text_has_one_bos_where_the_model_expects_it(
    adds_bos, text, bos_when_adding, bos_else
):
    model_tokenizer = tokenizer(bos="<s>", adds_bos=adds_bos)
    ids = chat.encode(model_tokenizer, text)
    assert ids.count(model_tokenizer.bos_token_id) == (bos_when_adding if adds_bos else bos_else)
    assert model_tokenizer.decode(ids).removeprefix("<s>") == text.removeprefix("<s>")


def test_a_tokenizer_without_a_bos_token_adds_none():
    model_tokenizer = tokenizer()
    assert (
        model_tokenizer.decode(chat.encode(model_tokenizer, "<|im_start|>user\nähm"))
        == "<|im_start|>user\nähm"
    )


def test_special_tokens_in_rendered_text_become_single_ids():
    model_tokenizer = tokenizer(chatml(), ["<|im_start|>", "<|im_end|>"])
    ids = chat.encode(model_tokenizer, chat.pre_query(model_tokenizer, "S"))
    assert [i for i in ids if i > 256] == [257, 258, 257]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("<think>\na\n</think>\n\nb", ("a", "b"), id="both tags"),
        pytest.param("a\n</think>\n\nb", ("a", "b"), id="the opening tag was in the prompt"),
        pytest.param("<think>\na", ("a", ""), id="cut off while thinking"),
        pytest.param(
            "So:\n<think>\na", ("So:\n\na", ""), id="cut off while thinking, after a word"
        ),
        pytest.param("the answer \n", ("", "the answer \n"), id="no tags"),
        pytest.param("", ("", ""), id="nothing"),
        pytest.param("<think>\n\n</think>\n\nb", ("", "b"), id="thinking switched off"),
        pytest.param("<think>a</think>", ("a", ""), id="thinking and then nothing"),
        pytest.param(
            "<think>a</think>b<think>c</think>d", ("abc", "d"), id="the answer follows the last tag"
        ),
        pytest.param("<think>a</think>b<think>c", ("ac", "b"), id="cut off in a second thought"),
        pytest.param("a</think>b</think>c", ("ab", "c"), id="a closing tag too many"),
    ],
)
def test_thinking_is_split_from_the_answer(text, expected):
    assert thinking.split(text) == expected


@pytest.mark.parametrize(("opening", "closing"), thinking.TAG_PAIRS)
def test_thinking_is_split_at_whichever_known_tags_are_there(opening, closing):
    assert thinking.split(f"{opening}\na\n{closing}\n\nb") == ("a", "b")
    assert thinking.split(f"a{closing}b") == ("a", "b")
    assert thinking.split(f"{opening}a") == ("a", "")
    assert thinking.split(f"{opening}Is <think> a tag?{closing}b")[1] == "b"
    assert thinking.has_ended(f"{opening}a{closing}") and not thinking.has_ended(f"{opening}a")


def ending(text):
    """ChatML with another text behind the assistant's header."""
    return chatml().replace("assistant\n", f"assistant\n{text}")


# Whether an answer begins inside its thinking; the texts are those that the families' own templates
# write behind the header, as rendered for this project.
BEGINNINGS = {
    "R1 and Qwen3.5: opened, with a newline": (ending("<think>\n"), "<think>"),
    "GLM 4.7: opened, without a newline": (ending("<think>"), "<think>"),
    "Qwen3.5's small sizes: an empty block": (ending("<think>\n\n</think>\n\n"), None),
    "DeepSeek V3.1: closed, and never opened": (DEEPSEEK_3, None),
    "Nemotron: opened, with a blank line": (NEMOTRON, "<think>"),
    "Qwen3 and Llama: the model writes the tag itself": (chatml(), None),
    "Cohere: its own tags": (ending("<|START_THINKING|>"), "<|START_THINKING|>"),
    "Gemma 4 31B: an empty block": (GEMMA_4, None),
    "Gemma 4, thinking": (ending("<|channel>thought\n"), "<|channel>thought"),
    "Magistral: opened": (ending("[THINK]"), "[THINK]"),
    "MiniMax-M3": (ending("<mm:think>\n"), "<mm:think>"),
    "gpt-oss: the model chooses its channel": (HARMONY, None),
    "an empty block, then another one": (ending("<think></think><think>"), "<think>"),
    "a tag that no family has": (ending("<ponder>"), None),
    "a tag in the history alone": (
        chatml(content="m['content'].split('</think>')[-1]", before="{# <think> #}"),
        None,
    ),
    "a tag in the system prompt alone": (chatml(default="Think between <think> tags."), None),
    "a system prompt is wanted": (
        "{% if messages[0]['role'] != 'system' %}{{ raise_exception('alone') }}{% endif %}"
        + ending("<think>\n"),
        "<think>",
    ),
}


@pytest.mark.parametrize("family", BEGINNINGS)
def test_the_template_says_whether_an_answer_begins_inside_its_thinking(family):
    template, expected = BEGINNINGS[family]
    pair = chat.thinking_opened(tokenizer(template, bos="<s>"))
    assert (pair and pair[0]) == expected


def test_a_saved_tokenizer_is_loaded_with_its_template(tmp_path):
    tokenizer(chatml(), ["<|im_end|>"]).save_pretrained(tmp_path)
    loaded = chat.load_tokenizer(str(tmp_path))
    assert chat.pre_query(loaded, SYSTEM) == CHATML_SYSTEM
    assert chat.stop_token_ids(loaded, None) == [256, 257]


def test_several_saved_templates_are_loaded_and_the_default_is_taken(tmp_path):
    tokenizer({"default": chatml(), "tool_use": chatml(before="TOOLS")}).save_pretrained(tmp_path)
    assert chat.pre_query(chat.load_tokenizer(str(tmp_path)), SYSTEM) == CHATML_SYSTEM


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        pytest.param({}, "no tokenizer files", id="an empty folder"),
        pytest.param(
            {"config.json": '{"model_type": "qwen2"}'}, "no tokenizer files", id="a config alone"
        ),
        pytest.param({"tokenizer.json": '{"model":'}, "cannot be loaded", id="a torn file"),
        pytest.param(
            {"tokenizer.json": "{}"}, "cannot be loaded", id="a file that is no tokenizer"
        ),
    ],
)
def test_a_folder_without_a_tokenizer_is_one_line(tmp_path, files, problem):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=problem) as error:
        chat.load_tokenizer(str(tmp_path))
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{tmp_path}: ")


@pytest.mark.parametrize("path", ["no/such/folder", "./nowhere", "/nowhere", "nowhere"])
def test_a_missing_folder_is_said_without_asking_the_hub(path):
    with pytest.raises(ValueError, match="no such folder"):
        chat.load_tokenizer(path)


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("We couldn't connect to the hub\nCheck your internet connection")

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", unreachable)
    with pytest.raises(
        ValueError, match="owner/model: no such folder, and on the hub: We couldn't connect"
    ) as error:
        chat.load_tokenizer("owner/model")
    assert "\n" not in str(error.value)


def test_a_generation_config_is_read_from_the_models_folder(tmp_path):
    assert chat.generation_config(str(tmp_path)) is None
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [1, 2]}')
    assert chat.generation_config(str(tmp_path)) == {"eos_token_id": [1, 2]}
    (tmp_path / "generation_config.json").write_text('{"eos')
    with pytest.raises(ValueError, match=r"generation_config.json: not JSON"):
        chat.generation_config(str(tmp_path))
